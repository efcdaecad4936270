"""The lab on odd machines, and evidence of labs that are not whole."""

import pytest

from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import LAB
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabPod
from tests.steps.lab.conftest import SandboxServer

pytestmark = pytest.mark.lab

ARMS = [dataplane.name for dataplane in of_kind(LAB)]


@pytest.mark.parametrize("settings", [{"rp_filter": "1"}, {"arp_ignore": "8"}], ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_hardened_machine_measures_every_dataplane(
    root_sandbox: SandboxServer, arm: str, settings: dict[str, str]
) -> None:
    proof = root_sandbox("hardened", arm, settings)
    assert proof == {"state": "proven", "observed": arm, "reason": None}


def test_wire_takes_packets_past_netfilter(root_sandbox: SandboxServer) -> None:
    assert set(root_sandbox("wire_filters").values()) <= {"0"}


@pytest.mark.parametrize("allowed", [0, 4, 8])
def test_limit_of_namespaces_is_found_before_the_run(ordinary_sandbox: SandboxServer, allowed: int) -> None:
    (finding,) = ordinary_sandbox("preflight_with", allowed)
    assert finding["severity"] == "stop"
    assert "14 network namespaces at once can't be made" in finding["reason"]
    assert finding["reason"].endswith("No space left on device.")
    assert "user.max_net_namespaces" in finding["remedy"]


@pytest.mark.parametrize("arm", ["lab-ebpf", "lab-ebpf-dsr"])
@pytest.mark.parametrize("pod", addresses.NODE_A.pods, ids=lambda pod: pod.name)
def test_pod_whose_packets_pass_no_program_is_not_proven(root_sandbox: SandboxServer, arm: str, pod: LabPod) -> None:
    proof = root_sandbox("without_a_program", arm, pod.cable)
    assert proof["state"] != "proven"
    assert pod is not addresses.NEAR_POD or "IP stack forwarded" in proof["reason"]


@pytest.mark.parametrize("arm", ARMS)
def test_connect_from_a_port_used_before_is_a_new_connection(root_sandbox: SandboxServer, arm: str) -> None:
    """Else the later trials of a visit, which use ports again, would find the Service and the policies decided."""
    assert root_sandbox("servers_of_a_reused_port", arm) == ["pod-b", "pod-c"]
