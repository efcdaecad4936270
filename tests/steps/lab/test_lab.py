"""Real labs in real sandboxes: built, proven, measured and taken away."""

from typing import Any

import pytest

from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import LAB
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.lab.dataplanes import traits
from tests.steps.lab.conftest import SandboxServer

pytestmark = pytest.mark.lab

DATAPLANES = of_kind(LAB)
ROOT_ONLY = {name for name, shown in traits().items() if shown.mechanism.root_only}


def _check(done: dict[str, Any], name: str) -> None:
    assert done["before"] == {"state": "proven", "observed": name, "reason": None}
    assert done["after"] == done["before"]
    assert done["again"] == 0, "a second configure changes nothing"
    assert all(change["command"] for change in done["changes"])
    assert set(done["placements"]) == {t.name for t in TOPOLOGIES}
    assert len(done["rates"]) == 5 * len(TOPOLOGIES)
    assert min(done["rates"].values()) > 1
    assert not any(done["listening"].values()), "clear leaves no server"
    assert (done["restored"], done["restored_again"], done["left"]) == (1, 0, [])


@pytest.mark.slow
@pytest.mark.parametrize("arm", [d.name for d in DATAPLANES])
def test_each_dataplane_carries_every_topology_and_is_proven(root_sandbox: SandboxServer, arm: str) -> None:
    _check(root_sandbox("carry", arm, 100), arm)


@pytest.mark.slow
@pytest.mark.parametrize("arm", [d.name for d in DATAPLANES if d.name not in ROOT_ONLY])
def test_ordinary_user_measures_iptables_and_nftables(ordinary_sandbox: SandboxServer, arm: str) -> None:
    _check(ordinary_sandbox("carry", arm, 1000), arm)


@pytest.mark.slow
@pytest.mark.parametrize("arm", [d.name for d in DATAPLANES])
def test_each_dataplane_goes_from_scale_to_scale_and_is_counted_and_proven(
    root_sandbox: SandboxServer, arm: str
) -> None:
    done = root_sandbox("scaled", arm)
    assert [scale["error"] for scale in done["scales"]] == [None] * 4
    assert {(s["proof"]["state"], s["proof"]["observed"]) for s in done["scales"]} == {("proven", arm)}
    seen = [{(s["node"], s["factor"]): s["seen"] for s in scale["signs"]} for scale in done["scales"]]
    for node in ("node-a", "node-b"):
        assert seen[0][node, "services"] == "30 of 30"
        assert seen[0][node, "endpoints"] == seen[1][node, "endpoints"] == "90 of 90"
        assert seen[0][node, "policies"] == "4 of 4"
        assert seen[1][node, "churn_per_s"].endswith("of 20/s")
        assert (seen[2][node, "endpoints"], seen[2][node, "policies"]) == ("5 of 5", "1 of 1")
        assert seen[3] == {**seen[3], (node, "services"): "0 of 0", (node, "endpoints"): "0 of 0"}
    assert (done["times"]["failed"], done["again"]) == (0, 0)
    assert 0 < done["times"]["p50_s"] <= done["times"]["worst_s"]


def test_twin_dataplane_is_proven_as_what_it_is(root_sandbox: SandboxServer) -> None:
    proof = root_sandbox("disguised", "lab-nftables+twin", "lab-nftables+twin")
    assert proof == {"state": "proven", "observed": "lab-nftables", "reason": None}


@pytest.mark.parametrize(
    ("asked", "real"),
    [
        ("lab-ebpf", "lab-iptables"),
        ("lab-iptables", "lab-nftables"),
        ("lab-ebpf-dsr", "lab-ebpf"),
        ("lab-ebpf", "lab-ebpf-dsr"),
        ("lab-nftables", "lab-ebpf"),
    ],
)
def test_unrequested_dataplane_is_disproven(root_sandbox: SandboxServer, asked: str, real: str) -> None:
    proof = root_sandbox("disguised", asked, real)
    assert (proof["state"], proof["observed"]) == ("disproven", real)


def test_ebpf_over_iptables_is_disproven(root_sandbox: SandboxServer) -> None:
    """What a node itself sends meets iptables' rules before the programs."""
    found = root_sandbox("mixed", "lab-iptables", "lab-ebpf")
    assert found["state"] == "disproven"
    assert "counters of the iptables chain of the Service" in found["reason"]


def test_iptables_and_nftables_at_once_disprove_both(root_sandbox: SandboxServer) -> None:
    proof = root_sandbox("mixed", "lab-iptables", "lab-nftables")
    assert (proof["state"], proof["observed"]) == ("disproven", None)


def test_lab_without_dataplane_is_unproven(root_sandbox: SandboxServer) -> None:
    seen = root_sandbox("bare")
    assert seen["told"] == 0
    assert seen["proof"]["state"] == "unproven"


@pytest.mark.parametrize("arm", ["lab-nftables", "lab-ebpf"])
def test_observe_adds_no_rules(root_sandbox: SandboxServer, arm: str) -> None:
    seen = root_sandbox("untouched_by_looking", arm)
    assert seen["before"] == seen["after"]


@pytest.mark.parametrize("arm", ["lab-iptables", "lab-nftables"])
def test_burden_increases_latency(root_sandbox: SandboxServer, arm: str) -> None:
    plain, burdened = root_sandbox("fastest_round_trips", arm, f"{arm}+burden=3000")
    assert burdened > 1.3 * plain


@pytest.mark.parametrize("damage", ["names only", "no links", "no state", "torn state", "another visit"])
def test_partial_lab_is_rebuilt(root_sandbox: SandboxServer, damage: str) -> None:
    assert root_sandbox("half_built", damage)["state"] == "proven"


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("observe before configure", "configure a dataplane first"),
        ("prepare before configure", "configure a dataplane first"),
        ("burdened ebpf", "an eBPF dataplane has no rules"),
        ("port taken", "port 5201 in namespace pod-b is taken by another program"),
        ("evidence port taken", "port 5203 in pod-b can't be opened for the evidence: Address already in use"),
        ("no iperf3", "iperf3 in namespace node-b does not listen on port 5201"),
        ("no umount", "umount is not installed: type `sudo apt-get install -y mount`"),
    ],
)
def test_lab_errors_are_problems(root_sandbox: SandboxServer, case: str, sentence: str) -> None:
    assert sentence in root_sandbox("problem", case)


def test_dead_iperf3_server_is_restarted(root_sandbox: SandboxServer) -> None:
    seen = root_sandbox("restarted")
    assert seen["first"] == seen["second"] == 1
    assert seen["rate"] > 1


def test_no_server_answers_a_forged_datagram(root_sandbox: SandboxServer) -> None:
    """One that has another server's port as its source would make two that answer each other go on for ever."""
    answers = root_sandbox("answers_to_datagrams", "lab-nftables")
    assert len(answers) >= 6
    assert {answer for each in answers.values() for answer in each} <= {"refused", "silent"}


def test_servers_load_nothing_from_the_current_folder(root_sandbox: SandboxServer) -> None:
    assert root_sandbox("servers_in_a_hostile_folder", "lab-nftables") == {"loaded": False, "running": True}


@pytest.mark.parametrize("state", ["off", "on"])
def test_offloads_are_off_by_default(root_sandbox: SandboxServer, state: str) -> None:
    features = root_sandbox("offloads", state == "on")
    assert f"tcp-segmentation-offload: {state}" in features
    assert f"generic-segmentation-offload: {state}" in features


def test_preflight_has_no_findings(root_sandbox: SandboxServer) -> None:
    assert root_sandbox("preflight", *(d.name for d in DATAPLANES)) == []


def test_preflight_names_every_impossible_arm(root_sandbox: SandboxServer) -> None:
    arms = ("lab-iptables", "lab-iptables+burden=5", "lab-ebpf+burden=5", "iptables")
    found = root_sandbox("preflight", *arms)
    assert {f["subject"]: f["severity"] for f in found} == dict.fromkeys(arms[2:], "skip")
    assert all(f["remedy"] for f in found)


def test_preflight_skips_ebpf_for_an_ordinary_user(ordinary_sandbox: SandboxServer) -> None:
    found = ordinary_sandbox("preflight", *(d.name for d in DATAPLANES))
    assert {f["subject"] for f in found} == ROOT_ONLY
    assert all("needs root" in f["reason"] and f["severity"] == "skip" for f in found)


def test_provenance_reads_mtus(root_sandbox: SandboxServer) -> None:
    """Read, not remembered."""
    assert root_sandbox("mtus", "lab-nftables", 1280)["eth0"] == 1280


def test_provenance_is_of_this_machine(root_sandbox: SandboxServer) -> None:
    seen = root_sandbox("facts")
    assert seen["inside"]
    assert seen["privileged"]
    assert seen["snapshot"] == {"namespaces": [], "built_for": None}
    provenance = seen["provenance"]
    assert provenance["iperf3_version"].startswith("iperf")
    assert provenance["in_user_namespace"] is False
    assert provenance["kernel"]
    assert provenance["mtu_bytes"] == {"ul0": 1500, "vxlan.calico": 1450, "eth0": 1450, "ul0 of outside": 1450}
    assert seen["left"] == [], "the lab that was built to look is gone"
    assert seen["host_processes"] > seen["processes"]
