"""The servers of a visit, their pods and Services, and how clients reach them."""

from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.catalogue.topologies import BY_NAME, TOPOLOGIES
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.servers import placements, trial_servers
from steps.cluster.kube.workloads import manifests, probe_pods
from steps.cluster.kube.workloads.workload import Workload
from steps.measurement import client_network
from tests.steps.kube.bench import EVERY, MEASURED, PLACES, WITH_IMAGE, Bench, every_pod, settings, visit
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.fakes.api import NAMESPACE, KilledError


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
        ("external-to-nodeport", {"server-host", "server"}),
    ],
)
def test_each_topology_has_only_its_servers_and_monitors(topology: str, wanted: set[str]) -> None:
    made = {p["metadata"]["name"]: p for p in trial_servers.manifests((BY_NAME[topology],), PLACES, "image:1")}
    assert set(made) == wanted | {"monitor-0", "monitor-1"}
    for name, pod in made.items():
        assert pod["spec"]["hostNetwork"] is name.startswith("server-host")


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
    tokens = {manifests.token_of(pod) for name, pod in pods.items() if name.startswith("monitor")}
    assert [len(token or "") for token in tokens] == [32, 32], "the visit's, and that of the monitors that stay"
    token = manifests.token_of(pods["monitor-host-0"])
    assert outside.nat_monitor.source == f"http://{pods['monitor-host-0']['status']['podIP']}:5203/{token}"
    others = [placement for name, placement in found.items() if name != "external-to-nodeport"]
    assert {(p.client_node, *p.ports.values(), p.nat_monitor) for p in others} == {("node-a", 5201, 5202, None)}
    assert [(m.node, m.side) for m in found["pod-to-pod"].monitors] == [("node-a", "client"), ("node-b", "server")]
    assert [(m.node, m.side) for m in found["pod-to-pod-same-node"].monitors] == [("node-a", "both")]
    assert not any(name.startswith(("reach", "look")) for name in pods)
    for placement in every.values():
        client_network.check_place(placement, "prod")


def test_what_is_done_meanwhile_is_done_once_the_servers_exist_and_before_one_is_waited_for() -> None:
    bench = Bench()
    there: list[set[str]] = []
    bench.kubelet.unplaced = lambda _pod: None if there else "0/3 nodes are available"

    def place() -> None:
        there.append(set(bench.kubelet.pods()))
        for pod in bench.kubelet.pods().values():
            del pod["status"]
            bench.store.put("", "pods", pod)
        bench.kubelet.act()

    found = trial_servers.prepare(
        bench.client,
        bench.standing,
        MEASURED,
        visit("pod-to-pod"),
        settings(),
        variables=WITH_IMAGE,
        meanwhile=place,
    )
    assert [placement.topology for placement in found] == ["node-to-node", "pod-to-pod"]
    assert [names >= {"server", "server-host", "monitor-0", "monitor-1"} for names in there] == [True]


def test_node_interface_comes_from_the_probe() -> None:
    bench = Bench()
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    probe_pods.start(bench.client, PLACES, "image:1", FELIX)
    found = bench.prepare("external-to-nodeport", "pod-to-service")
    assert found["external-to-nodeport"].nat_interface == "eth0"
    assert found["node-to-node"].interface == "eth0"
    assert {name: (p.server_interface, p.server_mtu_bytes) for name, p in found.items()} == {
        "node-to-node": (None, 9001),
        "pod-to-service": ("eth0", None),
        "external-to-nodeport": (None, None),
    }
    assert Bench().prepare("external-to-nodeport")["external-to-nodeport"].nat_interface is None


def test_node_interface_is_waited_for_while_the_probe_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API answers with 400 for the log of a container that has not started."""
    bench, read = Bench(), Client.log
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    probe_pods.start(bench.client, PLACES, "image:1", FELIX)
    refusals = iter(range(6))

    def log(client: Client, pod: str, *rest: str, **more: Any) -> bytes:  # noqa: ANN401
        if pod.startswith("look") and next(refusals, None) is not None:
            raise ApiError(f'container "probe" in pod "{pod}" is waiting to start: ContainerCreating', 400)
        return read(client, pod, *rest, **more)

    monkeypatch.setattr(Client, "log", log)
    monkeypatch.setattr(trial_servers, "_POLL_S", 0)
    found = bench.prepare("external-to-nodeport")
    assert next(refusals, None) is None
    assert found["external-to-nodeport"].nat_interface == "eth0"


def test_each_visit_gets_new_pods_and_the_same_service() -> None:
    bench = Bench()
    first = bench.prepare("pod-to-service")
    uids = {name: pod["metadata"]["uid"] for name, pod in bench.kubelet.pods().items()}
    second = bench.prepare("pod-to-service")
    again = {name: pod["metadata"]["uid"] for name, pod in bench.kubelet.pods().items()}
    assert set(uids) == set(again)
    assert not set(uids.values()) & set(again.values())
    assert first["pod-to-service"].address == second["pod-to-service"].address


def test_monitors_on_nodes_stay_for_all_visits_and_go_with_the_run() -> None:
    bench = Bench()

    def on_nodes() -> dict[str, str]:
        there = bench.kubelet.pods().items()
        return {name: pod["metadata"]["uid"] for name, pod in there if name.startswith("monitor-host")}

    first = bench.prepare("external-to-nodeport")["external-to-nodeport"]
    uids = on_nodes()
    assert len(uids) == 2
    assert all(pod["spec"]["hostNetwork"] for name, pod in bench.kubelet.pods().items() if name in uids)
    trial_servers.clear(bench.client)
    bench.prepare("pod-to-pod")
    second = bench.prepare("external-to-nodeport")["external-to-nodeport"]
    assert on_nodes() == uids
    assert second.monitors == first.monitors
    assert second.turns != first.turns
    bench.store.take("", "pods", NAMESPACE, "monitor-host-1")
    bench.prepare("external-to-nodeport")
    assert on_nodes().keys() == uids.keys()
    trial_servers.clear_all(bench.client)
    assert bench.kubelet.pods() == {}


def test_server_of_turns_is_the_visits_own_and_in_reach_of_every_client() -> None:
    bench = Bench()
    own = visit("pod-to-pod", "external-to-nodeport")
    assert trial_servers.turns(bench.client, own) is None
    found = bench.prepare("pod-to-pod", "external-to-nodeport")
    source = trial_servers.turns(bench.client, own)
    service, pod = bench.kubelet.services()["turns"], bench.kubelet.pods()["monitor-0"]
    token = pod["spec"]["containers"][0]["command"][-1]
    assert source == found["pod-to-pod"].turns == f"http://{service['spec']['clusterIP']}:5203/{token}"
    number = service["spec"]["ports"][0]["nodePort"]
    assert found["external-to-nodeport"].turns == f"http://10.250.0.11:{number}/{token}"
    selected = [
        p
        for p in bench.kubelet.pods().values()
        if service["spec"]["selector"].items() <= p["metadata"]["labels"].items()
    ]
    assert selected == [pod]
    assert trial_servers.turns(bench.client, own.model_copy(update={"visit": 2})) is None, "it was never cleared"
    trial_servers.clear(bench.client)
    assert trial_servers.turns(bench.client, own) is None


def test_clear_is_idempotent_and_deletes_only_own_objects() -> None:
    bench = Bench()
    other = {
        "metadata": {"name": "theirs", "namespace": NAMESPACE, "labels": {}},
        "spec": {"containers": [{}]},
        "status": {},
    }
    bench.store.put("", "pods", other)
    bench.kubelet.says = lambda pod: fake_kubelet.probe_report(pod, bench.store.now(), bpf=False, proxy_mode="iptables")
    probe_pods.start(bench.client, PLACES, "image:1", FELIX)
    bench.prepare(*EVERY)
    for _ in range(2):
        trial_servers.clear(bench.client)
        assert set(bench.kubelet.pods()) == {
            "theirs",
            *(f"{name}-{n}" for name in ("look-host", "look-pod", "monitor-host") for n in (0, 1)),
        }
        services = {"look-0", "look-1", "trials", "trials-local-nodeport", "trials-load-balancer", "turns"}
        assert set(bench.kubelet.services()) == services
    for _ in range(2):
        trial_servers.clear_all(bench.client)
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
        trial_servers.clear_all(bench.client)
        assert bench.kubelet.pods() == {}


def test_missing_image_is_reported_for_each_pod() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda pod: "InvalidImageName" if pod["metadata"]["name"] == "server" else None
    with pytest.raises(Problem, match="server: InvalidImageName: it was not found") as caught:
        bench.prepare("pod-to-pod")
    assert "kubectl -n bench describe pods" in str(caught.value)


def test_programs_of_servers_may_start_beside_their_clients() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda pod: "ErrImagePull" if pod["metadata"]["name"] == "server" else None
    found = bench.prepare("pod-to-pod")["pod-to-pod"]
    server = bench.kubelet.pods()["server"]
    assert found.address == server["status"]["podIP"]
    assert trial_servers.turns(bench.client, visit()) == found.turns
    with pytest.raises(Problem, match="server: ErrImagePull: it was not found"):
        Workload(bench.client, "trials").await_ready(0.1)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    bench.store.put("", "pods", server | {"status": server["status"] | ready})
    trial_servers.await_ready(bench.client, visit("pod-to-pod"))


def test_server_of_turns_is_made_last_so_that_whoever_sees_it_can_wait_for_all() -> None:
    *others, last = trial_servers.manifests(TOPOLOGIES, PLACES, "image:1")
    assert last["metadata"]["name"] == "monitor-0"
    assert "server" in {pod["metadata"]["name"] for pod in others}


def test_pod_wait_times_out() -> None:
    bench = Bench()
    bench.kubelet.refuses = lambda _pod: "ImagePullBackOff"
    with pytest.raises(Problem, match=r"monitor-1: ImagePullBackOff.*monitor-0: ImagePullBackOff"):
        Workload(bench.client, "trials").ensure_pods(trial_servers.manifests((), PLACES, "image:1"), 0.2)


def test_unreachable_server_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_servers, "MOST_SERVICES", 0)
    bench = Bench()
    bench.kubelet.refuses = lambda pod: "InvalidImageName" if pod["metadata"]["name"] == "reach-0" else None
    bench.store.say(NAMESPACE, "reach-0", "10.97.0.9 port 5202 does not answer")
    with pytest.raises(Problem, match=r"reach-0: 10\.97\.0\.9 port 5202 does not answer"):
        bench.prepare("pod-to-pod", services=1)
    assert not any(name.startswith("reach") for name in bench.kubelet.pods())


def test_missing_image_variable_is_a_problem() -> None:
    bench = Bench()
    with pytest.raises(Unsupported, match="BENCHMARK_IMAGE is not set"):
        trial_servers.prepare(bench.client, bench.standing, MEASURED, visit(), settings(), variables={})


def test_node_ports_that_differ_by_protocol_are_refused() -> None:
    ports = [{"name": n, "nodePort": p} for n, p in (("iperf3-tcp", 30001), ("iperf3-udp", 30002), ("connect", 30003))]
    with pytest.raises(Problem, match="30001 for iperf3-tcp and 30002 for iperf3-udp"):
        placements.node_ports({"metadata": {"name": "trials"}, "spec": {"ports": ports}})
