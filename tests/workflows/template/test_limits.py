"""Argo's limits, which the template keeps and the first step checks."""

import base64
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput
from steps.catalogue.options import Settings
from steps.catalogue.topologies import TOPOLOGIES
from steps.domain import MOST_TRIALS, Placement
from steps.settings.limits import LONGEST_S, MOST_VISITS, most_visits
from steps.settings.schedule import CLUSTER_OVERHEAD, MOST_LEVELS, level_rounds, make_schedule
from steps.settings.settings import choose_settings
from steps.settings.turn_order import TRIALS_BETWEEN
from steps.tasks.configure import measures
from steps.tasks.preflight import item, level_outputs
from steps.tools.iperf3.iperf3 import CANARY_S
from tests.steps.tasks.run_task import Ended, run_task
from workflows.local.semantics.loops import expand_loop
from workflows.template.benchmark import DEADLINE_S, build_template

Object = dict[str, Any]
OUTPUT_BYTES = 256 * 1024
OBJECT_BYTES = 1024 * 1024
SPEC = build_template().to_dict()["spec"]
PODS = [template for template in SPEC["templates"] if "script" in template]
REPEATABLE = {"retreat", "restore", "snapshot", "recollect", "report", "notify"}
ARMS = 5
IN_A_VISIT = ("", ".configure", ".settle", ".retreat", ".measure", ".clear", ".clear-again")


def largest() -> Settings:
    """The longest names, the most visits and every path that can be chosen."""
    arms = ",".join(f"ebpf-dsr+{'x' * 39}{n}" for n in range(ARMS))
    every = choose_settings(profile="thorough", environment="e" * 60, dataplanes="ebpf", options="rounds=1")
    options = f"rounds={most_visits(every) // ARMS} duration=1 repetitions=1"
    results = "s3://" + "b" * 60
    return choose_settings(profile="thorough", environment="e" * 60, dataplanes=arms, options=options, results=results)


def placements() -> dict[str, Placement]:
    return {
        t.name: Placement(
            topology=t.name,
            client_node="n" * 63,
            host_network=True,
            address="10.0.0.1",
            ports={"iperf3": 1},
            monitors=(),
        )
        for t in TOPOLOGIES
    }


def test_loop_lists_fit_into_an_argo_output() -> None:
    visits = make_schedule(largest())
    assert len(visits) == most_visits(largest()) // ARMS * ARMS
    assert len(json.dumps([item(visit) for visit in visits]).encode()) < OUTPUT_BYTES / 2
    assert len(json.dumps(measures(visits[0], largest(), placements())).encode()) < OUTPUT_BYTES / 2
    assert len(largest().model_dump_json().encode()) < OUTPUT_BYTES / 2


def _nodes(settings: Settings) -> Object:
    """A status as Argo would write it, near enough: each node with its inputs, artifacts, times and ids."""
    chance, found = random.Random(1), dict[str, Object]()
    as_json = settings.model_dump_json()

    def number() -> int:
        return chance.randint(1, 2**32)

    def node(name: str, template: str, inputs: Object) -> None:
        id_ = f"dataplane-benchmark-abcde-{number()}"
        document = {
            "name": "document",
            "path": "/tmp/outputs/artifacts/document",
            "s3": {"key": f"raw/{template}"},
        }
        log = {"name": "main-logs", "s3": {"key": f"dataplane-benchmark-abcde/{id_}/main.log"}}
        moment = f"2026-11-25T{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}Z"
        found[id_] = {
            "id": id_, "name": name, "displayName": name[-60:], "type": "Pod", "templateName": template,
            "templateScope": "local/dataplane-benchmark-abcde", "phase": "Succeeded", "startedAt": moment,
            "finishedAt": moment, "progress": "1/1", "boundaryID": f"dataplane-benchmark-abcde-{number()}",
            "children": [f"dataplane-benchmark-abcde-{number()}"], "hostNodeName": "node-a", "taskResultSynced": True,
            "resourcesDuration": {"cpu": chance.randint(0, 99), "memory": chance.randint(0, 999)}, "nodeFlag": {},
            "outboundNodes": [f"dataplane-benchmark-abcde-{number()}"],
            "inputs": {"parameters": [{"name": k, "value": v} for k, v in {"settings": as_json, **inputs}.items()]},
            "outputs": {"artifacts": [document, log], "exitCode": "0"},
        }  # fmt: skip

    visits = make_schedule(settings)
    for level in range(1, MOST_LEVELS + 1):
        own = [visit for visit in visits if visit.round in level_rounds(settings, level)]
        rounds = f"dataplane-benchmark-abcde{'.rounds.next' * (level - 1)}.rounds"
        handed_on = {name: str(value) for name, value in level_outputs(settings, level, own).items()}
        level_number = {"level": handed_on["level"]}
        for name, inputs in {
            "": handed_on,
            ".anchor": {},
            ".look": level_number,
            ".next": {**handed_on, "next": "rounds"},
        }.items():
            node(rounds + name, name.rpartition(".")[2] or "rounds", inputs)
        for visit, one in zip(own, expand_loop([item(visit) for visit in own]), strict=True):
            base = f"{rounds}.visit{one.suffix}"
            for name in IN_A_VISIT:
                node(base + name, name.rpartition(".")[2], {"visit": str(visit.visit)})
            listed = measures(visit, settings, placements())
            for each, passed in zip(listed, expand_loop(list(listed)), strict=True):
                node(f"{base}.measure{passed.suffix}", "measure", each)
    return found


def test_largest_run_fits_into_one_workflow_object() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(_nodes(largest())).encode()))
    assert OBJECT_BYTES / 3 < len(packed) < 0.8 * OBJECT_BYTES


def test_visit_limit_applies_to_clusters_only() -> None:
    options = f"rounds={MOST_VISITS + 1} duration=1"
    with pytest.raises(BadInput, match=r"251 visits, and 250 is the most that a workflow can store"):
        choose_settings(profile="smoke", options=options, environment="prod", dataplanes="ebpf")
    assert choose_settings(profile="smoke", options=options, dataplanes="lab-iptables").rounds == MOST_VISITS + 1


def test_deadlines_allow_every_permitted_run() -> None:
    each_s = CLUSTER_OVERHEAD.trial_s * (1 + 1 / TRIALS_BETWEEN) + CANARY_S / TRIALS_BETWEEN
    outside_s = CLUSTER_OVERHEAD.begin_s + CLUSTER_OVERHEAD.after_s
    longest_s = LONGEST_S + outside_s + MOST_VISITS * CLUSTER_OVERHEAD.visit_s + MOST_TRIALS * each_s
    assert SPEC["activeDeadlineSeconds"] == DEADLINE_S > longest_s
    (measure,) = (template for template in PODS if template["name"] == "measure")
    assert measure["activeDeadlineSeconds"] >= LONGEST_S


def test_number_of_templates_and_tasks() -> None:
    assert len(SPEC["templates"]) <= 200
    assert all(len(template.get("dag", {}).get("tasks", [])) <= 200 for template in SPEC["templates"])


@pytest.mark.parametrize("template", PODS, ids=[template["name"] for template in PODS])
def test_every_pod_has_resource_limits(template: Object) -> None:
    resources = template["script"]["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    assert "memory" in resources["limits"]
    assert template["activeDeadlineSeconds"] > 0
    retry = template.get("retryStrategy")
    assert (retry is not None) == (template["name"] in REPEATABLE)
    assert retry is None or retry == {"limit": "2", "retryPolicy": "OnError"}


def test_finished_pods_are_deleted_and_artifacts_kept() -> None:
    assert SPEC["podGC"]["strategy"] == "OnPodSuccess"
    assert SPEC["ttlStrategy"]["secondsAfterFailure"] >= SPEC["ttlStrategy"]["secondsAfterSuccess"] > 0
    assert SPEC["artifactGC"] == {"strategy": "Never"}


VALID = {
    "profile": "smoke", "dataplanes": "as-is", "topologies": "", "options": "",
    "nodes": "", "label": "", "trigger": "submitted",
}  # fmt: skip
INJECTION = 'a,b"}, "hostPID": true, "x": {"y": "'


def validate(tmp_path: Path, **typed: str) -> Ended:
    given = VALID | {name.replace("_", "-"): value for name, value in typed.items()}
    return run_task("steps.tasks.validate:validate", given, tmp_path)


def test_valid_submission_passes_validate(tmp_path: Path) -> None:
    ended = validate(tmp_path, nodes="node-a,node-b", label='"quoted" {{workflow.name}} <b>')
    assert ended.code == 0, ended.message
    assert json.loads(ended.parameter("settings"))["label"] == '"quoted" {{workflow.name}} <b>'


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"profile": "nope"}, ["unknown profile 'nope'"]),
        ({"profile": "["}, ["unknown profile '['"]),
        ({"trigger": "cron"}, ["unknown trigger 'cron': known are local, nightly, submitted"]),
        ({"nodes": INJECTION}, ["nodes must be two names, CLIENT,SERVER"]),
        ({"nodes": "a,b,c"}, ["nodes must be two names"]),
        ({"nodes": "{{workflow.name}},b"}, ["nodes must be two names"]),
        ({"topologies": 'pod-to-pod"}'}, ["unknown topology 'pod-to-pod\"}'"]),
        ({"dataplanes": "ebpf;id"}, ["unknown dataplane 'ebpf;id'"]),
        ({"dataplanes": "ebpf+$(id)"}, ["label of dataplane 'ebpf+$(id)' must be letters"]),
        ({"dataplanes": "lab-ebpf"}, ["belongs to lab"]),
        ({"options": "duration"}, ["has no value: write it as NAME=VALUE"]),
        ({"options": "congestion_control=bbr;reboot"}, ["congestion_control must be the name of a Linux algorithm"]),
        ({"label": "two\nlines"}, ["label must be one line"]),
        (
            {"profile": "quik", "trigger": "x", "nodes": "a", "options": "duration=0 seed=x", "dataplanes": "ebfp"},
            ["quick", "trigger", "nodes", "duration must be at least 1 s", "seed must be a number", "ebpf"],
        ),
    ],
)
def test_validate_step_refuses_all_invalid_form_inputs(tmp_path: Path, typed: dict[str, str], words: list[str]) -> None:
    ended = validate(tmp_path, **typed)
    assert ended.code == 2
    assert [text for text in words if text not in ended.message] == []
    assert len(ended.message.splitlines()) == len(words)
