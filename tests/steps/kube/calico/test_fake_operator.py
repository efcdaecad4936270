"""The fake operator answers the writes of a recorded switch as the real one did, in the same order."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.steps.kube import recordings
from tests.steps.kube.calico.proof.judgements import LOST
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.fakes.operator import DISABLED, Operator

Object = dict[str, Any]
Writes = list[tuple[str, object]]

SEQUENCES: Object = json.loads((Path(recordings.__file__).parent / "recorded" / "operator.json").read_text())
HELD, NOT_HELD, BACK, HELD_ON = "held", "not held", "back", "held on"
TURNED_ROUND = "turned round"
STATES = {"Available", "Degraded"}
REFUSED = "ResourceUpdateError"


def recorded(name: str) -> list[Object]:
    events: list[Object] = SEQUENCES[name]["events"]
    return events


def writes(event: Object) -> Writes:
    """What an event wrote, as the fake says it; nothing of what the fake does not have."""
    found: Writes = []
    if "pod" in event:
        found.append(("pod", event["pod"]))
    if "generation" in event.get("calico-node", {}):
        found.append(("calico-node", "changed"))
    if event["by"] == "operator":
        found += [(key, event["felix"][key]) for key in ("nftablesMode", "bpfEnabled") if key in event.get("felix", {})]
        if "kube-proxy" in event:
            found.append(("kube-proxy", "disabled" if DISABLED in event["kube-proxy"]["nodeSelector"] else "enabled"))
        for condition, (status, reason, _message) in event.get("status", {}).items():
            if condition == "Available" or (condition, reason) == ("Degraded", REFUSED):
                found.append((condition, status == "True"))
    return found


def all_writes(name: str) -> Writes:
    return [each for event in recorded(name) for each in writes(event)]


def rollout_s(name: str) -> float:
    """From the change of calico-node until it runs everywhere."""
    began = next(e["at"] for e in recorded(name) if "generation" in e.get("calico-node", {}))
    ended = [e["at"] for e in recorded(name) if "available" in e.get("calico-node", {})][-1]
    return float(ended - began)


def replay(name: str, calico: Calico) -> Writes:
    """The fake's writes after the recorded ones of the program; they're made when they were."""
    operator = the_operator(calico)
    del operator.wrote[:]
    passed = 0.0
    for event in recorded(name):
        calico.store.advance(event["at"] - passed)
        passed = event["at"]
        if event["by"] == "program":
            patch(calico, event)
    calico.store.advance(10.0)
    return [each for each in operator.wrote if each[0] != "Progressing"]


def patch(calico: Calico, event: Object) -> None:
    felix = f"/apis/{calico.group}/v1/felixconfigurations/default"
    for target, spec in (
        (felix, event.get("felix")),
        ("/apis/operator.tigera.io/v1/installations/default", {"calicoNetwork": event.get("installation")}),
    ):
        if spec and spec.get("calicoNetwork", True):
            body = json.dumps({"spec": spec}).encode()
            answer = calico.store.handle("PATCH", target, body, "application/merge-patch+json")
            assert answer.status == 200


def the_operator(calico: Calico) -> Operator:
    assert calico.operator is not None
    return calico.operator


def managed(name: str) -> Calico:
    """A cluster whose operator takes as long as the recorded one, and looks after kube-proxy too."""
    calico = Calico("operator", rollout_s=rollout_s(name))
    patch(calico, {"installation": {"kubeProxyManagement": "Enabled"}})
    return calico


@pytest.mark.parametrize("name", [HELD, HELD_ON])
def test_fake_operator_held_from_ebpf_writes_what_the_real_one_wrote_in_its_order(name: str) -> None:
    assert replay(name, managed(name)) == all_writes(name)


def test_fake_operator_on_the_way_back_writes_what_the_real_one_wrote_in_its_order() -> None:
    calico = managed(BACK)
    replay(HELD, calico)
    calico.store.advance(100.0)
    assert replay(BACK, calico) == all_writes(BACK)


def test_fake_operator_that_is_not_held_enables_ebpf_before_it_replaces_a_pod() -> None:
    calico = managed(NOT_HELD)
    found = [each for each in replay(NOT_HELD, calico) if each[0] != "Available"]
    known = [each for each in all_writes(NOT_HELD) if each[0] != "Available"]
    assert set(found[:4]) == set(known[:4]), "the order within the first second is not recorded"
    assert found[4:] == known[4:] == [("pod", "node-a"), ("pod", "node-b")]
    assert LOST.startswith("15")
    assert calico.collided == {"node-b"}, "as it was: node-a's calico-node was replaced before its Felix ran eBPF"


def test_fake_operator_that_is_turned_round_keeps_the_pod_that_is_of_the_wanted_version() -> None:
    calico = managed(HELD)
    replay(HELD_ON, calico)
    found = [each for each in replay(TURNED_ROUND, calico) if each[0] not in STATES]
    assert found == [each for each in all_writes(TURNED_ROUND) if each[0] not in STATES]
    assert [node for what, node in found if what == "pod"] == ["node-a", "node-a"]


@pytest.mark.parametrize("name", [HELD, HELD_ON])
def test_recorded_operator_enables_nothing_while_it_is_held(name: str) -> None:
    released = next((e["at"] for e in recorded(name) if e.get("felix") == {"bpfEnabled": False}), None)
    enabled = [e["at"] for e in recorded(name) if ("bpfEnabled", True) in writes(e)]
    disabled = [e["at"] for e in recorded(name) if ("kube-proxy", "disabled") in writes(e)]
    assert bool(enabled) == bool(disabled) == (released is not None)
    if released is not None:
        assert released < enabled[0] <= disabled[0]


def test_recorded_operator_reports_the_refusal_only_after_the_rollout() -> None:
    states = [e["at"] for e in recorded(HELD_ON) if ("Degraded", True) in writes(e)]
    rolled = [e["at"] for e in recorded(HELD_ON) if e.get("calico-node") == {"available": 2}][-1]
    assert len(states) == 1
    assert 0 < states[0] - rolled < 5
    assert ("Degraded", True) not in all_writes(HELD)


@pytest.mark.parametrize("name", [HELD, HELD_ON, BACK])
def test_recorded_operator_replaces_the_first_pod_at_once(name: str) -> None:
    """In the second of the change, often: a pod's age in whole seconds does not tell it from an older one."""
    changed = next(e["at"] for e in recorded(name) if "installation" in e)
    replaced = next(e["at"] for e in recorded(name) if "pod" in e)
    assert replaced - changed <= 1.0


def test_fake_operator_leaves_the_log_of_each_new_pod_alone() -> None:
    calico = managed(HELD)
    calico.store.say(calico.namespace, "calico-node-node-b", "of the pod before")
    replay(HELD, calico)
    for pod in calico.agents:
        log = calico.store.logs[calico.namespace, pod["metadata"]["name"]]
        assert log[0][0] >= datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        assert [line for _at, line in log if "Felix starting up" in line] != []
        assert "of the pod before" not in [line for _at, line in log]
