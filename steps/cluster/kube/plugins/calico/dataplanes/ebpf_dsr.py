"""eBPF with direct server return: a reply to a client outside leaves the backend's node straight for the client."""

from typing import Final

from steps.cluster.kube.plugins.calico.implementation import BPF, SERVICE_MODE, Implementation

IMPLEMENTATION: Final = Implementation("BPF", felix={BPF: True, SERVICE_MODE: "DSR"})
