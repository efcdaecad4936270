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


def test_holder_of_a_mutex_is_named_by_its_number_on_the_machine(root_sandbox: SandboxServer) -> None:
    found = root_sandbox("process_of_the_mutex")
    assert len(found["numbers"]) > 1, "it is one of the sandbox"
    assert found["numbers"][-1] == found["here"]


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
def test_traffic_shows_a_pod_whose_packets_pass_no_program(root_sandbox: SandboxServer, arm: str, pod: LabPod) -> None:
    _, of_traffic = root_sandbox("damaged", arm, "node-a", ["tc", "filter", "del", "dev", pod.cable, "ingress"])
    assert of_traffic["state"] != "proven"
    assert pod is not addresses.NEAR_POD or "IP stack forwarded" in of_traffic["reason"]


@pytest.mark.parametrize("policies", [None, 3], ids=["", "and-then-policies"])
@pytest.mark.parametrize(
    ("arm", "node", "words", "what"),
    [
        ("lab-iptables", "node-a", "iptables-nft -t raw -F", "iptables table raw is not as it was"),
        ("lab-iptables", "node-b", "iptables-nft -t mangle -F", "iptables table mangle is not as it was"),
        (
            "lab-iptables",
            "node-b",
            "iptables-nft -t filter -F cali-tw-cali-b",
            "iptables table filter is not as it was",
        ),
        ("lab-nftables", "node-a", "nft flush chain ip calico fw-cali-a", "nftables table calico is not as it was"),
        ("lab-nftables", "node-b", "iptables-nft -t raw -A PREROUTING -j ACCEPT", "iptables table raw is new"),
        ("lab-ebpf", "node-b", "tc filter del dev lo egress", "eBPF program of lo egress is gone"),
    ],
)
def test_damage_that_traffic_does_not_show_disproves(
    root_sandbox: SandboxServer, arm: str, node: str, words: str, what: str, policies: int | None
) -> None:
    """Each makes the dataplane do less for a packet than its name says, or something else."""
    proof, of_traffic = root_sandbox("damaged", arm, node, words.split(), policies)
    assert of_traffic["state"] == "proven", "else this sign would not be needed"
    assert proof["state"] == "disproven"
    assert f"{node}: rules and programs beside those of Services: {what}" in proof["reason"]


@pytest.mark.parametrize("arm", ARMS)
def test_policies_are_no_damage(root_sandbox: SandboxServer, arm: str) -> None:
    proof, _ = root_sandbox("damaged", arm, "node-a", ["true"], 3)
    assert proof == {"state": "proven", "observed": arm, "reason": None}


@pytest.mark.parametrize("arm", ARMS)
def test_connect_from_a_port_used_before_is_a_new_connection(root_sandbox: SandboxServer, arm: str) -> None:
    """Else the later trials of a visit, which use ports again, would find the Service and the policies decided."""
    assert root_sandbox("servers_of_a_reused_port", arm) == ["pod-b", "pod-c"]
