"""What the guard costs a day: by counters of the cluster with it and without, and the guard is never left suspended."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from benchmarks import guard_cost
from benchmarks.guard_cost import DAY_S, Meter
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import kube
from tests.workflows.fake_argo import NAMESPACE, person

IDLE_CPU, IDLE_CALLS = 0.08, 4.0
GUARD_CPU, GUARD_CALLS = 0.01, 0.5
"""What a second of the cluster costs, and what the guard adds."""


class Cluster(Meter):
    """Its counters go up as time passes: faster while the guard is not suspended."""

    def __init__(self, nodes: dict[str, str] | None = None, *, own_groups: bool = False, guard: bool = True) -> None:
        self.calico = Calico()
        self.__dict__.update(person(self.calico.store).__dict__)
        self.store = self.calico.store
        self.store.serve("batch", "v1", "cronjobs", "CronJob")
        if guard:
            meta = {"name": "dataplane-benchmark-guard", "namespace": NAMESPACE}
            self.store.put("batch", "cronjobs", {"metadata": meta, "spec": {"schedule": "* * * * *"}})
        if nodes is not None:
            self._replace_nodes(nodes)
        self.cpu, self.calls = 1000.0, 50_000.0
        self.own_groups = own_groups
        self.slept: list[float] = []
        self.then: Callable[[], None] = lambda: None

    def _replace_nodes(self, nodes: dict[str, str]) -> None:
        for node in self.store.all("", "nodes"):
            self.store.take("", "nodes", "", node["metadata"]["name"])
        for name, kernel in nodes.items():
            status = {"nodeInfo": {"bootID": kernel}, "capacity": {"cpu": "2"}}
            node = {"metadata": {"name": name}, "status": status}
            self.store.put("", "nodes", node)

    @property
    def suspended(self) -> bool:
        (job,) = self.store.all("batch", "cronjobs")
        return bool(job["spec"].get("suspend"))

    def sleep(self, seconds: float) -> None:
        self.store.shift += timedelta(seconds=seconds)
        self.cpu += seconds * (IDLE_CPU + GUARD_CPU * (not self.suspended))
        self.calls += seconds * (IDLE_CALLS + GUARD_CALLS * (not self.suspended))
        self.slept.append(seconds)
        self.then()

    def _text(self, path: str, what: str) -> bytes:
        assert what
        if path == "/metrics":
            lines = (
                "# TYPE apiserver_request_total counter",
                'apiserver_request_total{code="200",verb="GET"} 0',
                f'apiserver_request_total{{code="201",verb="POST"}} {self.calls}',
                "apiserver_other_total 7",
            )
            return "\n".join(lines).encode()
        node = path.split("/")[4]
        used_s = self.cpu + 500 * self.own_groups * sum(node.encode())
        cpu = {"time": self.store.now().isoformat(), "usageCoreNanoSeconds": round(used_s * 1e9)}
        return json.dumps({"node": {"nodeName": node, "cpu": cpu}}).encode()


def measured(cluster: Cluster, pairs: int = 2) -> list[str]:
    turns = guard_cost.measure(cluster, turn_s=300.0, pairs=pairs, sleep=cluster.sleep, say=lambda _sentence: None)
    return guard_cost.costs(turns)


@pytest.mark.parametrize(
    ("nodes", "own_groups", "machines"),
    [
        ({"a": "k1", "b": "k2"}, False, 2),
        pytest.param({"a": "k1", "b": "k1"}, False, 1, id="nodes that tell the counter of one machine"),
        pytest.param({"a": "k1", "b": "k1"}, True, 2, id="nodes of one machine with control groups of their own"),
    ],
)
def test_cost_is_the_difference_between_turns_with_the_guard_and_without(
    nodes: dict[str, str], *, own_groups: bool, machines: int
) -> None:
    cluster = Cluster(nodes, own_groups=own_groups)
    cpu, calls, _means = measured(cluster)
    day = f"{machines * GUARD_CPU * DAY_S:,.0f}"
    assert cpu.startswith(f"The guard costs {day} [{day}, {day}] CPU seconds a day")
    assert f" {GUARD_CALLS * DAY_S:,.0f} [" in calls
    assert not cluster.suspended
    assert sum(cluster.slept) >= 4 * 300


def test_guard_is_resumed_whatever_ends_the_measurement() -> None:
    cluster = Cluster({"a": "k1"})

    def interrupt() -> None:
        if cluster.suspended:
            raise KeyboardInterrupt

    cluster.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        measured(cluster)
    assert not cluster.suspended


def test_guard_that_was_suspended_before_stays_so() -> None:
    cluster = Cluster({"a": "k1"})
    (job,) = cluster.store.all("batch", "cronjobs")
    job["spec"]["suspend"] = True
    measured(cluster)
    assert cluster.suspended


def test_nothing_is_measured_while_the_cluster_is_held() -> None:
    cluster = Cluster()

    def switch() -> None:
        if len(cluster.slept) == 2:
            kube(cluster.calico).configure_for_user("ebpf")

    cluster.then = switch
    with pytest.raises(Unsupported, match=r"is held by .*: the guard stays with a run, and is needed"):
        measured(cluster)
    assert len(cluster.slept) == 2
    assert not cluster.suspended


def test_cluster_without_a_guard_is_refused() -> None:
    with pytest.raises(
        Unsupported,
        match="has no CronJob argo/dataplane-benchmark-guard: deploy again without GUARD=off: `make deploy ",
    ):
        measured(Cluster({"a": "k1"}, guard=False))


@pytest.mark.parametrize(("counter", "says"), [("cpu", "node a has started anew"), ("calls", "API server has started")])
def test_counters_that_begin_anew_are_a_problem(counter: str, says: str) -> None:
    cluster = Cluster({"a": "k1"})

    def restart() -> None:
        if len(cluster.slept) == 2:
            setattr(cluster, counter, 0.0)

    cluster.then = restart
    with pytest.raises(Problem, match=says):
        measured(cluster)
    assert not cluster.suspended


def test_one_pair_is_refused_before_anything_is_asked() -> None:
    for flags in ({"pairs": 1}, {"minutes": 0.0}):
        with pytest.raises(BadInput, match="PAIRS 2 at least"):
            guard_cost.guard_cost(guard_cost.GuardCostFlags(**flags))


def test_missing_counters_are_sentences() -> None:
    cluster = Cluster({"a": "k1"})
    answers: dict[str, Any] = {"/metrics": b"# nothing", "/api/v1/nodes/a/proxy/stats/summary": b"{}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_text", lambda path, _what: answers[path])
        with pytest.raises(Problem, match="metrics have no apiserver_request_total"):
            cluster.read()
        answers["/metrics"] = b"apiserver_request_total 3"
        with pytest.raises(Problem, match="the kubelet of node a tells no CPU time"):
            cluster.read()
