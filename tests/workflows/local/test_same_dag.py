"""The local engine and Argo see the same DAG: the same nodes, by the same names, in the same order."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from steps.catalogue.options import Settings
from steps.domain import Placement, Visit
from steps.settings import turn_order
from steps.settings.schedule import level_rounds, make_schedule
from steps.settings.settings import choose_settings
from steps.tasks.configure import UNSCALED, measures
from steps.tasks.preflight import level_outputs
from tests.workflows.local import record, stand_ins
from tests.workflows.local.running import walk
from tests.workflows.submission.fake_run import RUN, whole
from workflows.local.semantics.nodes import NodeStatus, WorkflowOutcome
from workflows.template.benchmark import build_template

Object = dict[str, Any]
RECORDED = Path(__file__).parent / "recorded" / "argo-nodes.json"


def walked(tmp_path: Path, recording: Object) -> WorkflowOutcome:
    """The benchmark's template by the local engine, whose steps hand on what was recorded."""
    file = tmp_path / "recording.json"
    file.write_text(json.dumps(recording))
    workflow = stand_ins.instead_of_all(build_template().to_dict())
    env = {stand_ins.RECORDING: str(file), **dict.fromkeys(_from_secrets(workflow), "")}
    outcome, _ = walk(workflow, tmp_path / "results", recording["parameters"], env=env)
    return outcome


def _from_secrets(workflow: Object) -> Iterable[str]:
    for template in workflow["spec"]["templates"]:
        yield from (v["name"] for v in template.get("script", {}).get("env", []) if "valueFrom" in v)


def recorded_form(node: NodeStatus, uid: str) -> Object:
    """A node of the local engine as a recording has it."""
    inputs = {name: value.replace(uid, "UID") for name, value in node.inputs.items()}
    return {
        "name": node.name,
        "displayName": node.display_name,
        "templateName": node.template,
        "type": node.kind,
        "phase": node.phase,
        "inputs": inputs,
    }


def level(settings: Settings, visits: Iterable[Visit], number: int) -> dict[str, str]:
    """What is handed on to a level of the rounds, as texts."""
    rounds = level_rounds(settings, number)
    found = level_outputs(settings, number, (visit for visit in visits if visit.round in rounds))
    return found | {"visits": json.dumps(found["visits"])}


def small(dataplanes: str = "as-is") -> tuple[Object, Settings]:
    """What the steps of a small run hand on, made by the very functions that do on a cluster."""
    options = "rounds=2 seed=7"
    settings = choose_settings(profile="smoke", dataplanes=dataplanes, topologies="pod-to-service", options=options,
                      environment="prod", results="s3://b")  # fmt: skip
    visits = make_schedule(settings)
    places = {
        name: Placement(topology=name, client_node="node-a", host_network=name == "node-to-node", address="10.0.0.1",
                        ports={"iperf3": 1}, monitors=())
        for name in ("node-to-node", "pod-to-service")
    }  # fmt: skip
    passed = settings.model_dump_json()

    def node(template: str, outputs: Object, **inputs: str) -> Object:
        return {"templateName": template, "type": "Pod", "inputs": inputs, "outputs": outputs}

    nodes = [
        node("validate", {"settings": passed}),
        node("preflight", {"settings": passed, **level(settings, visits, 1)}),
        node("look", {"next": "stop", "reason": "why", **level(settings, visits, 2)}, settings=passed, level="01"),
        *(
            node(
                "configure",
                {"measures": json.dumps(measures(visit, settings, places)), "scaled": UNSCALED},
                settings=passed,
                visit=f"{visit.visit:02d}",
            )
            for visit in visits
        ),
        node("report", {"headline": "h", "outcome": "measured", "regression": "", "figures": "{}"}),
        node("verdict", {"verdict": "h"}),
        node("notify", {"notification": "t"}),
    ]
    parameters = {"profile": "smoke", "dataplanes": dataplanes, "topologies": "pod-to-service", "options": options,
                  "nodes": "", "label": "", "trigger": "submitted"}  # fmt: skip
    return {"parameters": parameters, "nodes": nodes}, settings


def test_nodes_of_a_small_run(tmp_path: Path) -> None:
    recording, settings = small()
    outcome = walked(tmp_path, recording)
    assert outcome.phase == "Succeeded"
    assert settings.cells
    assert [node.phase for node in outcome.nodes if node.name == "run.rounds.anchor"] == ["Skipped"]

    def visit(number: int) -> list[str]:
        going = make_schedule(settings)[number - 1]
        turns_s = turn_order.longest_s(going, settings.omit_s, settings.idle_s, settings.environment)
        timeout = f"{900 + round(turns_s)}s"
        key = f"dataplane:as-is,round:{number},title:visit-{number}.as-is.round-{number},visit:0{number}"
        visit = f"run.rounds.visit({number - 1}:{key})"
        below = [
            f"({n}:client-node:node-a,network:{network},timeout:{timeout},title:{what}.as-is.visit-{number},what:{what})"
            for n, (what, network) in enumerate(
                (
                    ("host-network", "node"),
                    ("pod-to-service", "pod"),
                )
            )
        ]
        tasks = ("configure", "settle", "retreat", "measure", "scale")
        return [
            visit,
            *(f"{visit}.{t}" for t in tasks),
            *(f"{visit}.measure{b}" for b in below),
            f"{visit}.clear",
            f"{visit}.clear-again",
        ]

    expected = [
        "run", "run.validate", "run.preflight", "run.snapshot", "run.snapshot(0)",
        "run.rounds", "run.rounds.anchor", "run.rounds.visit", *visit(1), *visit(2),
        "run.rounds.look", "run.rounds.next", "run.rounds.next.rounds",
        "run.collect", "run.report", "run.report(0)", "run.verdict",
        "run.onExit", "run.onExit.restore", "run.onExit.restore(0)", "run.onExit.collect", "run.onExit.report",
        "run.onExit.notify", "run.onExit.notify(0)",
    ]  # fmt: skip
    found = [node.name for node in outcome.nodes]
    assert sorted(found) == sorted(expected)
    assert [name for name in found if ")." not in name] == [name for name in expected if ")." not in name]
    shown = [
        node.display_name
        for node in outcome.nodes
        if node.template in {"visit", "measure", "rounds"} and node.kind in {"Pod", "DAG"}
    ]
    assert shown == [
        "rounds-1-to-2",
        *(
            name
            for number in (1, 2)
            for name in (f"visit-{number}.as-is.round-{number}", f"host-network.as-is.visit-{number}",
                         f"pod-to-service.as-is.visit-{number}")
        ),
    ]  # fmt: skip


def test_failed_settle_is_followed_by_retreat(tmp_path: Path) -> None:
    recording, _ = small()
    recording["failing"] = ["settle", "measure"]
    outcome = walked(tmp_path, recording)
    phases = {node.name.partition("visit:01)")[2]: node.phase for node in outcome.nodes if "visit:01)" in node.name}
    assert phases[".settle"] == phases[".measure"] == phases[""] == "Failed"
    assert phases[".retreat"] == phases[".clear"] == "Succeeded"
    assert phases[".clear-again"] == "Omitted"
    names = [node.name.partition("visit:01)")[2] for node in outcome.nodes]
    assert names.index(".settle") < names.index(".retreat")
    assert [node.phase for node in outcome.nodes if node.name.endswith(".configure")] == ["Succeeded", "Succeeded"]


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no run on a real Argo is recorded: see {record.__name__}")
def test_local_nodes_match_a_recorded_argo_run(tmp_path: Path) -> None:
    recording = json.loads(RECORDED.read_text())
    for node in recording["nodes"]:
        if node["templateName"] == "prepare":  # recorded before visits had scales
            node["outputs"].setdefault("scaled", UNSCALED)
    outcome = walked(tmp_path, recording)
    ours = {node.name: recorded_form(node, outcome.uid) for node in outcome.nodes}
    theirs = {node["name"]: node for node in recording["nodes"]}
    if not any(node["templateName"] == "scale" for node in theirs.values()):
        skipped = [name for name, node in ours.items() if name.endswith(".scale") and node["phase"] == "Skipped"]
        assert len(skipped) == 2, "one in each visit"
        for name in skipped:
            del ours[name]
    assert list(theirs.keys() - ours.keys()) == []
    assert list(ours.keys() - theirs.keys()) == []
    for name, node in ours.items():
        assert {key: theirs[name][key] for key in node} == node
    order = {node.name: place for place, node in enumerate(outcome.nodes)}
    for name, node in theirs.items():
        assert [child for child in node["children"] if order[child] < order[name]] == []


def test_recording_keeps_the_order_of_nodes() -> None:
    kept = record.recording(whole().workflow() | {"spec": {"arguments": {"parameters": [{"name": "p", "value": "v"}]}}})
    assert kept["parameters"] == {"p": "v"}
    assert RUN not in json.dumps(kept)
    names = [node["name"] for node in kept["nodes"]]
    assert names[:3] == ["run", "run.validate", "run.preflight"]
    (report,) = (node for node in kept["nodes"] if node["templateName"] == "report")
    assert report["outputs"]["headline"] == "eBPF gains 30 %."
    (group,) = (node for node in kept["nodes"] if node["type"] == "TaskGroup")
    assert group["children"] == ["run.rounds.visit(0:visit:01)"]
