import json
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.errors import Problem, Unsupported
from steps.catalogue.cells import Cell
from steps.catalogue.options import Settings
from steps.catalogue.topologies import BY_NAME, TOPOLOGIES
from steps.cluster.kube import outside_client, placements, server_findings, trial_servers
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.workloads import connectivity, filler_services, probe_pods
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Placement, Visit
from tests.steps.builders import trial
from tests.steps.kube import fake_kubelet
from tests.steps.kube.fake_api import NAMESPACE, Direct, KilledError, direct_client
from tests.steps.kube.fake_calico import Calico
from tests.steps.kube.fake_kubelet import Kubelet

Object = dict[str, Any]
MEASURED = ("node-a", "node-b")
WITH_IMAGE = {"BENCHMARK_IMAGE": "registry.example/steps:1"}
TOKEN = "0" * 32
PLACES = [probe_pods.Site("node-a", "10.250.0.11"), probe_pods.Site("node-b", "10.250.0.12")]


class Bench:
    """A cluster, with a third node that Calico doesn't manage where `outside`."""

    def __init__(self, *, outside: bool = True) -> None:
        self.calico = Calico()
        self.store = self.calico.store
        self.client: Client
        self.direct: Direct
        self.client, self.direct = direct_client(self.store)
        self.kubelet = Kubelet(self.calico)
        if outside:
            self.store.put("", "nodes", outsider())

    @property
    def standing(self) -> ClusterState:
        return read_state(self.client, to_switch=False)

    def prepare(self, *topologies: str, services: int = 0) -> dict[str, Placement]:
        found = trial_servers.prepare(
            self.client, self.standing, MEASURED, visit(*topologies), settings(services=services), variables=WITH_IMAGE
        )
        return {placement.topology: placement for placement in found}


def outsider() -> Object:
    return {
        "metadata": {"name": "outside", "labels": {"kubernetes.io/hostname": "outside", "kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": "no-calico", "effect": "NoSchedule"}]},
        "status": {
            "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "kernelVersion": "6.18.0"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "10.250.0.50"}],
            "capacity": {"cpu": "2"},
        },
    }


def visit(*topologies: str) -> Visit:
    trials = tuple(trial(trial=index, position=index, topology=topology) for index, topology in enumerate(topologies))
    return Visit(visit=1, round=1, dataplane="iptables", trials=trials)


def settings(*topologies: str, services: int = 0) -> Settings:
    cells = tuple(Cell(topology=name, tool="iperf3", transport="tcp", direction="forward") for name in topologies)
    return cast("Settings", SimpleNamespace(services=services, cells=cells, streams=1))


EVERY = tuple(topology.name for topology in TOPOLOGIES)


def every_pod() -> list[Object]:
    """Every manifest of a pod that can come about."""
    services: dict[str, Object] = {
        f"look-{i}": {"spec": {"clusterIP": f"10.97.0.{i}", "ports": [{"nodePort": 30000 + i}]}} for i in (0, 1)
    }
    made = probe_pods.manifests(PLACES, services, "image:1", TOKEN)
    made += connectivity.check_manifests(PLACES, "image:1", 5201, TOKEN)
    for count in range(len(EVERY) + 1):
        for names in combinations(TOPOLOGIES, count):
            made += trial_servers.manifests(names, PLACES, "image:1")
    found = Bench().prepare(*EVERY)
    return made + connectivity.manifests(list(found.values()), "image:1")


def test_every_pod_meets_restricted_security_without_service_account() -> None:
    for pod in every_pod():
        spec = pod["spec"]
        name = pod["metadata"]["name"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {key for volume in spec["volumes"] for key in volume} == {"name", "emptyDir"}, name
        assert not {"hostPID", "hostIPC", "serviceAccountName"} & set(spec), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_pods_are_pinned_by_node_name_only() -> None:
    for pod in every_pod():
        affinity = pod["spec"]["affinity"]
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        (term,) = affinity["nodeAffinity"][required]["nodeSelectorTerms"]
        assert term["matchFields"][0]["values"][0] in {"node-a", "node-b", "outside"}
        assert set(affinity) == {"nodeAffinity"}, "labels of nodes say nothing: two nodes may have the same"
        assert "nodeSelector" not in pod["spec"]


def test_server_readiness_probe() -> None:
    servers = [c for pod in trial_servers.manifests(TOPOLOGIES, PLACES, "image:1") for c in pod["spec"]["containers"]]
    for container in servers:
        port = container["ports"][0]["containerPort"]
        assert f":{port:04x} " in container["startupProbe"]["exec"]["command"][-1]
        assert "livenessProbe" not in container
        assert "readinessProbe" not in container


@pytest.mark.parametrize(
    ("topology", "wanted"),
    [
        ("node-to-node", {"server-host"}),
        ("pod-to-pod", {"server-host", "server"}),
        ("pod-to-service", {"server-host", "server"}),
        ("pod-to-pod-same-node", {"server-host", "server-near"}),
        ("external-to-nodeport", {"server-host", "server", "monitor-host-0", "monitor-host-1"}),
    ],
)
def test_each_topology_has_only_its_servers_and_monitors(topology: str, wanted: set[str]) -> None:
    made = {p["metadata"]["name"]: p for p in trial_servers.manifests((BY_NAME[topology],), PLACES, "image:1")}
    assert set(made) == wanted | {"monitor-0", "monitor-1"}
    for name, pod in made.items():
        assert pod["spec"]["hostNetwork"] is (name.startswith(("server-host", "monitor-host")))


def test_placements_are_complete() -> None:
    bench = Bench()
    every = bench.prepare(*EVERY)
    pods, service = bench.kubelet.pods(), bench.kubelet.services()["trials"]
    assert list(every) == list(EVERY)
    known = ("node-to-node", "pod-to-pod", "pod-to-service", "pod-to-pod-same-node", "external-to-nodeport")
    found = {name: every[name] for name in known}
    assert {name: placement.address for name, placement in found.items()} == {
        "node-to-node": "10.250.0.12",
        "pod-to-pod": pods["server"]["status"]["podIP"],
        "pod-to-service": service["spec"]["clusterIP"],
        "pod-to-pod-same-node": pods["server-near"]["status"]["podIP"],
        "external-to-nodeport": "10.250.0.11",
    }
    assert {name for name, placement in found.items() if placement.host_network} == {
        "node-to-node",
        "external-to-nodeport",
    }
    assert {placement.namespace for placement in found.values()} == {None}
    outside = found["external-to-nodeport"]
    assert outside.client_node == "outside"
    ports = {port["name"]: port["nodePort"] for port in service["spec"]["ports"]}
    assert outside.ports == {"iperf3": ports["iperf3-tcp"], "tcp_connect": ports["connect"]}
    assert ports["iperf3-udp"] == ports["iperf3-tcp"]
    assert outside.nat_monitor is not None
    assert outside.nat_monitor.source == f"http://{pods['monitor-host-0']['status']['podIP']}:5203/"
    others = [placement for name, placement in found.items() if name != "external-to-nodeport"]
    assert {(p.client_node, *p.ports.values(), p.nat_monitor) for p in others} == {("node-a", 5201, 5202, None)}
    assert [(m.node, m.side) for m in found["pod-to-pod"].monitors] == [("node-a", "client"), ("node-b", "server")]
    assert [(m.node, m.side) for m in found["pod-to-pod-same-node"].monitors] == [("node-a", "both")]
    assert not any(name.startswith(("reach", "look")) for name in pods)


def test_node_interface_comes_from_the_probe() -> None:
    bench = Bench()
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    probe_pods.start(bench.client, PLACES, "image:1")
    found = bench.prepare("external-to-nodeport", "pod-to-service")
    assert found["external-to-nodeport"].nat_interface == "eth0"
    assert found["node-to-node"].interface == "eth0"
    assert {name: (p.server_interface, p.server_mtu_bytes) for name, p in found.items()} == {
        "node-to-node": (None, 9001),
        "pod-to-service": ("eth0", None),
        "external-to-nodeport": (None, None),
    }
    assert Bench().prepare("external-to-nodeport")["external-to-nodeport"].nat_interface is None


def test_each_visit_gets_new_pods_and_the_same_service() -> None:
    bench = Bench()
    first = bench.prepare("pod-to-service")
    uids = {name: pod["metadata"]["uid"] for name, pod in bench.kubelet.pods().items()}
    second = bench.prepare("pod-to-service")
    again = {name: pod["metadata"]["uid"] for name, pod in bench.kubelet.pods().items()}
    assert set(uids) == set(again)
    assert not set(uids.values()) & set(again.values())
    assert first["pod-to-service"].address == second["pod-to-service"].address


def test_filler_services_and_their_pod_stay_between_visits() -> None:
    bench = Bench()
    bench.prepare("pod-to-service", services=12)
    made = {name: s for name, s in bench.kubelet.services().items() if name.startswith("padding")}
    assert len(made) == 12
    behind = bench.kubelet.pods()["padding"]["metadata"]
    assert all(s["spec"]["type"] == "ClusterIP" for s in made.values())
    assert all(s["spec"]["selector"].items() <= behind["labels"].items() for s in made.values())
    trials = bench.kubelet.services()["trials"]["spec"]["selector"]
    assert not trials.items() <= behind["labels"].items()
    trial_servers.clear(bench.client)
    assert set(bench.kubelet.services()) == set(made)
    assert set(bench.kubelet.pods()) == {"padding"}, "clear leaves them to the next visit"
    bench.prepare("pod-to-service", services=12)
    posts = [r for r in bench.store.requests if r.verb == "create" and r.plural == "services"]
    assert len([r for r in posts if r.name.startswith("padding")]) == 12
    assert bench.kubelet.pods()["padding"]["metadata"]["uid"] == behind["uid"]
    trial_servers.clear(bench.client)
    filler_services.clear(bench.client)
    assert bench.kubelet.services() == {}
    assert bench.kubelet.pods() == {}


def test_clear_is_idempotent_and_deletes_only_own_objects() -> None:
    bench = Bench()
    other = {"metadata": {"name": "theirs", "namespace": NAMESPACE, "labels": {}}, "spec": {}, "status": {}}
    bench.store.put("", "pods", other)
    probe_pods.start(bench.client, PLACES, "image:1")
    bench.prepare(*EVERY)
    for _ in range(2):
        trial_servers.clear(bench.client)
        assert set(bench.kubelet.pods()) == {"theirs"}
        assert bench.kubelet.services() == {}


@pytest.mark.parametrize("after", [False, True])
def test_prepare_killed_at_any_write_can_be_repeated(*, after: bool) -> None:
    whole = Bench()
    expected = whole.prepare(*EVERY)
    for at in range(0, whole.direct.writes, 3):
        bench = Bench()
        bench.direct.kill_at, bench.direct.kill_after_write = at, after
        with pytest.raises(KilledError):
            bench.prepare(*EVERY)
        bench.direct.kill_at = None
        assert list(bench.prepare(*EVERY)) == list(expected)
        assert set(bench.kubelet.pods()) == set(whole.kubelet.pods())
        trial_servers.clear(bench.client, wait=True)
        assert bench.kubelet.pods() == {}


def test_missing_image_is_reported_for_each_pod() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda pod: "InvalidImageName" if pod["metadata"]["name"] == "server" else None
    with pytest.raises(Problem, match="server: InvalidImageName: it was not found") as caught:
        bench.prepare("pod-to-pod")
    assert "kubectl -n bench describe pods" in str(caught.value)


def test_pod_wait_times_out() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda _pod: "ImagePullBackOff"
    with pytest.raises(Problem, match=r"monitor-0: ImagePullBackOff.*monitor-1: ImagePullBackOff"):
        Workload(bench.client, "trials").ensure_pods(trial_servers.manifests((), PLACES, "image:1"), 0.2)


def test_unreachable_server_address_is_named() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda pod: "InvalidImageName" if pod["metadata"]["name"] == "reach-0" else None
    bench.store.say(NAMESPACE, "reach-0", "10.97.0.9 port 5202 does not answer")
    with pytest.raises(Problem, match=r"reach-0: 10\.97\.0\.9 port 5202 does not answer"):
        bench.prepare("pod-to-pod")
    assert not any(name.startswith("reach") for name in bench.kubelet.pods())


def test_missing_image_variable_is_a_problem() -> None:
    bench = Bench()
    with pytest.raises(Unsupported, match="BENCHMARK_IMAGE is not set"):
        trial_servers.prepare(bench.client, bench.standing, MEASURED, visit(), settings(), variables={})


def test_missing_outside_client_skips_only_its_topology() -> None:
    bench = Bench(outside=False)
    said(bench)
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod", "external-to-nodeport"), variables=WITH_IMAGE
    )
    assert (found.severity, found.subject) == ("skip", "external-to-nodeport")
    assert "BENCHMARK_OUTSIDE" in (found.remedy or "")
    with pytest.raises(Unsupported, match="there is no client outside"):
        bench.prepare("external-to-nodeport")
    assert set(bench.prepare("pod-to-pod")) == {"node-to-node", "pod-to-pod"}


def test_named_outside_client_must_be_outside() -> None:
    bench = Bench()
    for name, reason in (("node-a", "is no ready Linux node without Calico"), ("nowhere", "is no node of the cluster")):
        with pytest.raises(Unsupported, match=rf"names {name}, which {reason}: name one of outside"):
            outside_client.outside_node(bench.standing.nodes, {"BENCHMARK_OUTSIDE": name})
    found = outside_client.outside_node(bench.standing.nodes, {"BENCHMARK_OUTSIDE": "outside"})
    assert found is not None
    assert found.name == "outside"


def said(bench: Bench, *, tcp: bool = True, udp: bool = True) -> None:
    """Let the checking pods say which way is open."""

    def say(pod: Object) -> str | None:
        line = fake_kubelet.probe_report(
            pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing="" if tcp else "port"
        )
        if line is None:
            return None
        found = json.loads(line)
        for each in found["lines"]:
            each["received"] = each["received"] if udp else 0
        return json.dumps(found)

    bench.kubelet.says = say


def test_blocked_return_path_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing="node-a (10.250.0.11) on port 5201"
    )
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert found.reason == "node-b gets no answer from node-a (10.250.0.11) on port 5201 by TCP"
    asking = [
        json.loads(pod["spec"]["containers"][0]["command"][-1])
        for pod in connectivity.check_manifests(PLACES, "i", 5201, TOKEN)
    ]
    assert [(spec["node"], spec["echo"], spec["lines"][0]["node"]) for spec in asking] == [
        ("node-a", 5201, "node-b"),
        ("node-b", 5201, "node-a"),
    ]


@pytest.mark.parametrize(
    ("refused", "failing", "words"),
    [
        ("", "", ""),
        ("", "NodePort of node-a", "outside gets no answer from a NodePort of node-a (10.250.0.11, port 30"),
        ("ErrImageNeverPull", "", "check-outside: ErrImageNeverPull"),
    ],
)
def test_outside_client_needs_image_and_node_port(
    monkeypatch: pytest.MonkeyPatch, refused: str, failing: str, words: str
) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    bench.kubelet.refuses = lambda pod: (
        refused if refused and pod["spec"]["hostNetwork"] and _on(pod, "outside") else None
    )
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(
        pod, bench.store.now(), bpf=False, proxy_mode="iptables", failing=failing
    )
    asked = settings("pod-to-pod", "external-to-nodeport")
    found = server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=WITH_IMAGE)
    assert [(each.severity, each.subject) for each in found] == ([("skip", "external-to-nodeport")] if words else [])
    assert all(words in each.reason for each in found)
    assert bench.kubelet.pods() == {}
    assert bench.kubelet.services() == {}
    server_findings.findings(bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE)
    assert not failing or not [f for f in found if f.severity == "stop"]


def _on(pod: Object, node: str) -> bool:
    return node in json.dumps(pod["spec"]["affinity"]["nodeAffinity"])


@pytest.mark.parametrize(("tcp", "udp"), [(True, True), (False, True), (True, False), (False, False)])
def test_blocked_port_stops_the_run_and_names_the_protocol(
    monkeypatch: pytest.MonkeyPatch, *, tcp: bool, udp: bool
) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    said(bench, tcp=tcp, udp=udp)
    found = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    closed = [name for name, open_ in (("TCP", tcp), ("UDP", udp)) if not open_]
    ways = (("node-a", "node-b (10.250.0.12)"), ("node-b", "node-a (10.250.0.11)"))
    assert [(f.severity, f.reason) for f in found] == [
        ("stop", f"{one} gets no answer from {other} on port 5201 by {name}") for one, other in ways for name in closed
    ]
    assert bench.kubelet.pods() == {}


def test_image_pull_failure_stops_the_run_in_preflight() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda _pod: "ErrImageNeverPull"
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert (found.severity, found.subject) == ("stop", "pods")
    assert "ErrImageNeverPull" in found.reason
    assert bench.kubelet.pods() == {}


def test_node_ports_that_differ_by_protocol_are_refused() -> None:
    ports = [{"name": n, "nodePort": p} for n, p in (("iperf3-tcp", 30001), ("iperf3-udp", 30002), ("connect", 30003))]
    with pytest.raises(Problem, match="30001 for iperf3-tcp and 30002 for iperf3-udp"):
        placements.node_ports({"metadata": {"name": "trials"}, "spec": {"ports": ports}})
