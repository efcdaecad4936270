"""Our pods and Services on a cluster end by themselves, belong to their workflow, and open only what is needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import Problem
from steps.catalogue.topologies import NODE_TO_NODE
from steps.cluster.kube.api import connect
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK
from steps.cluster.kube.probe.report import ProbeReport
from steps.cluster.kube.scale import programming_pods
from steps.cluster.kube.servers import trial_servers
from steps.cluster.kube.workloads import admission, connectivity, manifests, probe_pods
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS, Container
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Placement
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings
from steps.tasks.configure import measures
from tests.steps.kube.bench import PLACES, Bench, every_pod
from tests.steps.kube.fakes.api import NAMESPACE, direct_client

Object = dict[str, Any]

OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-1", "uid": "uid-1"}
LONGEST_RUN_S = 48 * 3600


def pods_of_every_part() -> list[Object]:
    checks = connectivity._servers(PLACES, "image:1", 5201, "0" * 32)
    outside = connectivity.outside_manifest(PLACES[0], PLACES[1], 30001, "image:1", "0" * 32)
    start = programming_pods.starting_pod(PLACES[0], "image:1", "10.64.0.9", "0" * 32, "programming-start-1")
    added = probe_pods.added_pod(PLACES[0], "image:1", 0)
    return [*every_pod(), *checks, outside, added, *programming_pods.manifests(PLACES, "image:1", "0" * 32), start]


def test_every_pod_ends_by_itself_and_has_a_memory_limit() -> None:
    for pod in pods_of_every_part():
        name, spec = pod["metadata"]["name"], pod["spec"]
        assert 0 < spec["activeDeadlineSeconds"] <= LONGEST_RUN_S, name
        assert spec["restartPolicy"] == ("OnFailure" if name.startswith(("reach", "programming-start")) else "Always")
        for container in spec["containers"]:
            assert set(container["resources"]["limits"]) == {"memory"}, "a limit of CPU would slow the traffic down"


@pytest.mark.parametrize("profile", ["smoke", "quick", "standard", "thorough"])
def test_servers_outlive_the_measuring_steps_of_their_visit(profile: str) -> None:
    settings = choose_settings(profile=profile, environment="prod", seed_source=lambda: 1)
    for visit in make_schedule(settings):
        names = {trial.topology for trial in visit.trials} | {NODE_TO_NODE}
        placed = {
            name: Placement(
                topology=name, client_node="a", host_network=False, address="10.0.0.1", ports={}, monitors=()
            )
            for name in names
        }
        steps = measures(visit, settings, placed)
        assert trial_servers.deadline_s(visit, settings) > max(int(step["timeout"].rstrip("s")) for step in steps)


def test_servers_in_the_nodes_network_listen_on_the_nodes_address_only() -> None:
    (pod,) = (p for p in trial_servers.manifests([], PLACES, "image:1") if p["metadata"]["name"] == "server-host")
    commands = {container["name"]: container["command"] for container in pod["spec"]["containers"]}
    assert set(commands) == {"iperf3", "connect"}
    assert commands["iperf3"][-2:] == ["-B", "10.250.0.12"]
    assert commands["connect"][-2:] == ["5202", "10.250.0.12"]


def test_client_that_waits_for_the_servers_listens_nowhere() -> None:
    placed = [*Bench().prepare("pod-to-pod", "node-to-node").values()]
    for pod in connectivity.manifests(placed, "image:1", STEP_REQUESTS):
        (container,) = pod["spec"]["containers"]
        assert "ports" not in container
        assert "serve" not in " ".join(container["command"])
        assert container["startupProbe"]["exec"]["command"] == ["test", "-e", "/tmp/ready"]


def part(client: Client) -> Workload:
    return Workload(client, "trials")


def pod(name: str = "server") -> Object:
    return manifests.pod(name, "trials", "node-a", [Container("c", ("true",))], "image:1", deadline_s=60)


def service() -> Object:
    return manifests.service("trials", "trials", {}, [{"port": 5201}], "ClusterIP")


def owners(bench: Bench) -> list[list[str]]:
    found = [*bench.kubelet.pods().values(), *bench.kubelet.services().values()]
    return [[owner["uid"] for owner in each["metadata"].get("ownerReferences", [])] for each in found]


def test_pods_and_services_belong_to_their_workflow() -> None:
    bench = Bench()
    client, _transport = direct_client(bench.store, OWNER)
    part(client).ensure_services(service())
    part(client).ensure_pods([pod()])
    assert owners(bench) == [["uid-1"], ["uid-1"]]
    uids = {found["metadata"]["uid"] for found in bench.kubelet.pods().values()}
    part(client).ensure_services(service())
    part(client).ensure_pods([pod()])
    assert {found["metadata"]["uid"] for found in bench.kubelet.pods().values()} == uids, "its own stay"


@pytest.mark.parametrize("before", [None, {**OWNER, "uid": "uid-0"}])
@pytest.mark.parametrize("now", [None, OWNER])
def test_pods_and_services_of_another_workflow_are_replaced(before: Object | None, now: Object | None) -> None:
    """Kubernetes would delete them with that workflow, in the middle of this one."""
    bench = Bench()
    other, _transport = direct_client(bench.store, before)
    part(other).ensure_services(service())
    part(other).ensure_pods([pod()])
    client, _transport = direct_client(bench.store, now)
    part(client).ensure_services(service())
    part(client).ensure_pods([pod()])
    assert owners(bench) == [[now["uid"]] if now else []] * 2


@pytest.mark.parametrize(
    ("own", "variables", "expected"),
    [
        (NAMESPACE, {"ARGO_WORKFLOW_NAME": "run-1", "ARGO_WORKFLOW_UID": "uid-1"}, OWNER),
        ("elsewhere", {"ARGO_WORKFLOW_NAME": "run-1", "ARGO_WORKFLOW_UID": "uid-1"}, None),
        ("", {"ARGO_WORKFLOW_NAME": "run-1", "ARGO_WORKFLOW_UID": "uid-1"}, None),
        (NAMESPACE, {"ARGO_WORKFLOW_NAME": "run-1"}, None),
        (NAMESPACE, {}, None),
    ],
)
def test_owner_is_a_workflow_of_the_same_namespace_only(
    own: str, variables: dict[str, str], expected: Object | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes deletes an object at once whose owner is in another namespace."""
    path = tmp_path / "namespace"
    if own:
        path.write_text(own + "\n", encoding="ascii")
    monkeypatch.setattr(connect, "_OWN_NAMESPACE", path)
    assert connect._owner_reference(NAMESPACE, variables) == expected


def test_quota_of_memory_limits_is_checked_before_the_run() -> None:
    bench = Bench()
    quota = {"metadata": {"namespace": NAMESPACE, "name": "small"}, "status": {"hard": {"limits.memory": "2Gi"}}}
    bench.store.serve("", "v1", "resourcequotas", "ResourceQuota")
    bench.store.put("", "resourcequotas", quota)
    settings = choose_settings(profile="smoke", environment="prod", seed_source=lambda: 1)
    made = [pod(), manifests.largest_step("node-a", "image:1")]
    (found,) = admission.findings(bench.client, made, [], settings)
    assert "ResourceQuota small allows 2Gi of limits.memory" in found.reason


REPORT: Object = {
    "at": "2026-11-26T00:00:00+00:00",
    "node": "node-a",
    "host": {"at": "2026-11-26T00:00:00+00:00", "interfaces": ["eth0"], "uplink": "eth0"},
    "answers": [{"node": "node-a", "target": "ClusterIP", "ok_at": None, "error": "x", "failed": 1}],
    "lines": [],
}
HOSTILE: dict[str, Object] = {
    "interfaces without end": {"host": {"at": REPORT["at"], "interfaces": [f"i{n}" for n in range(10_001)]}},
    "name of a megabyte": {"host": {"at": REPORT["at"], "uplink": "x" * 2**20}},
    "answers without end": {"answers": REPORT["answers"] * 17},
    "error of a megabyte": {"answers": [{**REPORT["answers"][0], "error": "x" * 2**20}]},
    "negative count": {"lines": [{"name": "l", "protocol": "tcp", "connected": -1}]},
    "time that is none": {"at": "yesterday"},
    "another field": {"argv": ["sh"]},
    "no object": {"host": "x"},
}


def test_report_of_a_probe_is_read() -> None:
    found = probe_pods.parse(json.dumps(REPORT).encode())
    assert isinstance(found, ProbeReport)
    assert found.host is not None
    assert found.host.interfaces == frozenset({"eth0"})


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_report_of_a_probe_counts_as_none(case: str) -> None:
    good, bad = json.dumps(REPORT).encode(), json.dumps(REPORT | HOSTILE[case]).encode()
    assert probe_pods.parse(bad) is None
    assert probe_pods.parse(good + b"\n" + bad) == probe_pods.parse(good)
    assert probe_pods.parse(b"[" * 100_000) is None


def test_text_of_pods_is_bounded_in_sentences() -> None:
    bench = Bench()
    text = "\x1b]0;owned\x07" + "x" * 100_000 + "\nsecond"
    bench.kubelet.refuses = lambda _pod: "ErrImageNeverPull"
    client = bench.client
    plain = bench.kubelet._run

    def with_message(found: Object) -> None:
        plain(found)
        for status in found["status"].get("containerStatuses", []):
            status["state"]["waiting"]["message"] = text

    bench.kubelet._run = with_message  # type: ignore[method-assign]
    with pytest.raises(Problem) as caught:
        part(client).ensure_pods([pod(str(number)) for number in range(20)], 1.0)
    sentence = str(caught.value)
    assert len(sentence) < 2000
    assert "\x1b" not in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("read", "limit_bytes"),
    [
        (lambda client: probe_pods.latest_report(client, "look-host-0"), 2**20),
        (lambda client: connectivity._last_line(client, "reach-0"), 4096),
        (lambda client: client.log("server", BENCHMARK), 64 * 2**20),
    ],
)
def test_log_is_read_up_to_a_bound(
    read: Callable[[Client], object], limit_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, transport = direct_client(Bench().store)
    paths: list[str] = []

    def call(_method: str, path: str, _what: str, **_more: object) -> bytes:
        paths.append(path)
        return b""

    monkeypatch.setattr(transport, "call", call)
    read(client)
    assert [f"limitBytes={limit_bytes}" in path.partition("?")[2].split("&") for path in paths] == [True]
