"""The lab: two nodes, their pods and a client outside as network namespaces on this machine. One adapter of the port.

It keeps nothing in memory: its state is in the kernel and in /run/lab of its sandbox.
"""
