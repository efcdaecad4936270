"""A fake cluster with kubelets on which visits are prepared."""

import json
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

from steps.catalogue.cells import PlannedCell
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.plugins.calico.felix.agent import FELIX
from steps.cluster.kube.plugins.calico.switching.cluster_state import ClusterState, read_state
from steps.cluster.kube.servers import monitors, trial_servers
from steps.cluster.kube.workloads import connectivity, probe_pods
from steps.cluster.kube.workloads.manifests import STEP_REQUESTS
from steps.domain import Placement, Visit
from tests.steps.builders import trial
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.fakes.api import Direct, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.fakes.kubelet import Kubelet

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
    cells = tuple(
        PlannedCell(topology=name, tool="iperf3", transport="tcp", direction="forward") for name in topologies
    )
    scales = (Scale(services=services),)
    more = SimpleNamespace(
        services=services, scales=scales, cells=cells, streams=1, omit_s=0, idle_s=1.0, environment="prod"
    )
    return cast("Settings", more)


EVERY = tuple(topology.name for topology in TOPOLOGIES if topology.target != "own-service")
"""All that a cluster has."""


def every_pod() -> list[Object]:
    """Every manifest of a pod that can come about."""
    services: dict[str, Object] = {
        f"look-{i}": {"spec": {"clusterIP": f"10.97.0.{i}", "ports": [{"nodePort": 30000 + i}]}} for i in (0, 1)
    }
    made = probe_pods.manifests(PLACES, services, "image:1", TOKEN, FELIX)
    made += connectivity.check_manifests(PLACES, "image:1", 5201, TOKEN)
    made += monitors.on_nodes(PLACES, "image:1", TOKEN)
    for count in range(3):
        for names in combinations(TOPOLOGIES, count):
            made += trial_servers.manifests(names, PLACES, "image:1")
    found = Bench().prepare(*EVERY)
    return made + connectivity.manifests(list(found.values()), "image:1", STEP_REQUESTS)


def report_connections(bench: Bench, *, tcp: bool = True, udp: bool = True) -> None:
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
