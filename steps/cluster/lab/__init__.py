"""The lab: two nodes, their pods and a client outside as network namespaces on this machine. One adapter of the port.

It keeps nothing in memory: what it is, is in the kernel and in /run/lab of the sandbox it runs in (`sandbox.run`).
"""

from steps.cluster.lab.adapter import LabCluster

__all__ = ["LabCluster"]
