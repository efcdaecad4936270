"""A cluster in which a recorded switch has happened."""

import json
from collections.abc import Sequence
from datetime import timedelta

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.plugins.calico.proof import observe
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.domain import Moment, Sign, Visit
from steps.proof import evaluate
from tests.steps.kube.bench import MEASURED, WITH_IMAGE
from tests.steps.kube.fakes import kubelet as fake_kubelet
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.fakes.kubelet import Kubelet
from tests.steps.kube.recordings import Switch, stamp
from tests.steps.kube.switching import around

EBPF = "01-iptables-to-ebpf"
IPTABLES = "04-ebpf-to-iptables"


def visit(dataplane: str) -> Visit:
    return Visit(visit=1, round=1, dataplane=dataplane, trials=())


class Cluster:
    """Time goes on from so long after the switch."""

    def __init__(self, recorded: Switch, after_s: float = 200.0, *, failing: str = "", proxy: bool = True) -> None:
        self.calico = Calico()
        self.store = self.calico.store
        self.recorded = recorded
        self.bpf = recorded.asked.startswith("ebpf")
        self.proxy_mode = None if self.bpf or not proxy else recorded.asked
        self.failing = failing
        self.notices: list[str] = []
        self.client: Client = direct_client(self.store)[0]
        self.kubelet = Kubelet(self.calico)
        self.kubelet.says = lambda pod: fake_kubelet.probe_report(
            pod, self.store.now(), bpf=self.bpf, proxy_mode=self.proxy_mode, failing=self.failing
        )
        self.changed()
        self.store.stopped = recorded.changed_at + timedelta(seconds=after_s)
        for node in MEASURED:
            lines = recorded.logs[node]
            self.store.logs["kube-system", f"calico-node-{node}"] = [
                (stamp(line), line.partition(b" ")[2].decode()) for line in lines if stamp(line) <= self.store.stopped
            ]

    def changed(self) -> None:
        """Let the objects say when we last changed one."""
        self.store.stopped = self.recorded.changed_at
        patch = {"spec": {"bpfEnabled": self.bpf, "bpfLogLevel": "Off"}}
        target = "/apis/crd.projectcalico.org/v1/felixconfigurations/default?fieldManager=dataplane-benchmark"
        self.store.handle("PATCH", target, json.dumps(patch).encode(), "application/merge-patch+json")

    def observe(self, asked: str, when: Moment = "before") -> list[Sign]:
        standing = read_state(self.client, to_switch=False)
        going = visit(asked)
        surroundings = around(self.calico, self.client, say=self.notices.append, variables=WITH_IMAGE)
        return observe.observe(surroundings, standing, MEASURED, going, when)

    def state(self, found: Sequence[Sign]) -> str:
        return evaluate.evaluate(found, self.recorded.asked, MEASURED).state
