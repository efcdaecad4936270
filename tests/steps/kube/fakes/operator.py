"""Calico's operator on the fake API, and the DaemonSet of calico-node; held to recorded/operator.json."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.steps.kube.fakes.requests import stamp

if TYPE_CHECKING:
    from tests.steps.kube.fakes.calico import Calico

Object = dict[str, Any]

BPF_ENABLED = "operator.tigera.io/bpfEnabled"
DISABLED = "operator.tigera.io/disable-kube-proxy"
_REVISION = "controller-revision-hash"
_NFTABLES_MODES = {"Iptables": "Disabled", "BPF": "Enabled"}
"""What it makes of the Installation's linuxDataplane; of Nftables it makes Auto."""
_REPORTS = timedelta(seconds=5)
"""How late the operator reports what it finds: it looks every 5 s."""

_REFUSED = (
    'Error updating resource: unable to set bpfEnabled: FelixConfiguration "default" has been modified by someone '
    "else, refusing to override potential user configuration"
)


class Operator:
    """The operator 1.42.3. It enables eBPF at once when it changes calico-node, since it reads a DaemonSet that it
    remembers, or else when calico-node is rolled out; and never while bpfEnabled differs from its own annotation.

    Args:
        calico: the cluster.
        rollout_s: how long it takes to roll calico-node out: at once on the first node, and on the next when Felix is
            ready there, so that it is as long on each. With a node down no rollout ends.
        bootstraps: it looks after kube-proxy itself (1.40 and later).

    `wrote`: what it and the DaemonSet's controller did, in order: what was written, and its new value.
    `disturbed`: what else made Felix restart during a rollout.
    `collided`: the nodes that lost the API server, since Felix ran eBPF there before its pod was replaced by one that
    tells the kernel the API server's address.
    """

    def __init__(self, calico: "Calico", rollout_s: float, *, bootstraps: bool) -> None:
        self._calico = calico
        self._store = calico.store
        self.wrote: list[tuple[str, object]] = []
        self.disturbed: list[str] = []
        self.collided: set[str] = set()
        self._bootstrapped: set[str] = set()
        self._rollout = timedelta(seconds=rollout_s)
        self._fill(bootstraps=bootstraps)
        self._bpf = calico.felix_runs_bpf
        self._replaced = 0
        self._began = self._store.now() - self._rollout - _REPORTS
        self._mode = calico.felix["spec"].get("bpfExternalServiceMode")
        self._refused_at: datetime | None = None
        self._seen = 1

    def act(self) -> None:
        """Do what is to be done now."""
        now, network = self._store.now(), self._network
        bpf = network.get("linuxDataplane") == "BPF"
        self._write_felix("nftablesMode", _NFTABLES_MODES.get(str(network.get("linuxDataplane")), "Auto"))
        changes = self._bpf != bpf
        if changes:
            self._bpf, self._began, self._replaced = bpf, now, 0
            if (agent := self._calico.agent) is not None:
                agent["metadata"]["generation"] += 1
                self.wrote.append(("calico-node", "changed"))
        mode = self._calico.felix["spec"].get("bpfExternalServiceMode")
        if self._rolling and mode != self._mode:
            self.disturbed.append(f"bpfExternalServiceMode {mode}")
        self._mode = mode
        if not bpf or changes or not self._rolling:
            refused = not self._enable(bpf=bpf)
            self._refused_at = (self._refused_at or now) if refused and not changes else None
        self._select_nodes_of_kube_proxy(network)
        self._replace_agents(network)
        self._report()

    @property
    def _installation(self) -> Object:
        found = self._store.find("operator.tigera.io", "installations", "", "default")
        assert found is not None
        return found

    @property
    def _network(self) -> Object:
        network: Object = self._installation["spec"]["calicoNetwork"]
        return network

    @property
    def _rolling(self) -> bool:
        return bool(self._store.down) or self._store.now() < self._began + self._rollout

    def _write_felix(self, name: str, value: object) -> None:
        spec = self._calico.felix["spec"]
        if spec.get(name) != value:
            spec[name] = value
            self.wrote.append((name, value))

    def _enable(self, *, bpf: bool) -> bool:
        """Write bpfEnabled, unless somebody else has; whether nobody has."""
        spec = self._calico.felix["spec"]
        annotations = self._calico.felix["metadata"].setdefault("annotations", {})
        noted = annotations.get(BPF_ENABLED)
        if noted is not None and noted != json.dumps(spec.get("bpfEnabled")):
            return False
        self._write_felix("bpfEnabled", bpf and (not self._store.down or bool(spec.get("bpfEnabled"))))
        annotations[BPF_ENABLED] = json.dumps(spec["bpfEnabled"])
        return True

    def _select_nodes_of_kube_proxy(self, network: Object) -> None:
        selector = self._calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]
        disables = bool(self._calico.felix["spec"].get("bpfEnabled"))
        if network.get("kubeProxyManagement") != "Enabled" or disables == (DISABLED in selector):
            return
        if disables:
            selector[DISABLED] = "true"
        else:
            del selector[DISABLED]
        self.wrote.append(("kube-proxy", "disabled" if disables else "enabled"))

    def _replace_agents(self, network: Object) -> None:
        """Replace calico-node on one node after another, the first at once; a pod of the wanted version stays."""
        agent = self._calico.agent
        if agent is None:
            return
        bootstraps = network.get("bpfNetworkBootstrap") == "Enabled"
        if not bootstraps:
            self._bootstrapped.clear()
        revision, pods = "bpf" if self._bpf else "rules", self._calico.agents
        for pod in pods:
            labels, node = pod["metadata"]["labels"], pod["spec"]["nodeName"]
            if labels.setdefault(_REVISION, revision) == revision:
                continue
            if self._store.down or self._store.now() < self._began + self._rollout / len(pods) * self._replaced:
                break
            self._replaced += 1
            labels[_REVISION] = revision
            pod["metadata"]["creationTimestamp"] = stamp(self._store.now())
            self.wrote.append(("pod", node))
            self._store.logs.pop((self._calico.namespace, pod["metadata"]["name"]), None)
            self._calico.start_felix(node)
            if bootstraps and self._calico.felix_runs_bpf and node not in self._bootstrapped:
                self.collided.add(node)
            if bootstraps:
                self._bootstrapped.add(node)
        updated = sum(pod["metadata"]["labels"][_REVISION] == revision for pod in pods)
        generation = agent["metadata"]["generation"]
        away = int(self._rolling and self._store.now() >= self._began)
        desired = agent["status"]["desiredNumberScheduled"]
        ready = max(desired - max(len(self._store.down), away), 0)
        agent["status"].update(
            observedGeneration=generation, updatedNumberScheduled=updated, numberAvailable=ready, numberReady=ready
        )

    def _report(self) -> None:
        now = self._store.now()
        status = self._store.find("operator.tigera.io", "tigerastatuses", "", "calico")
        assert status is not None
        found = {each["type"]: each["status"] == "True" for each in status["status"]["conditions"]}
        refused = self._refused_at is not None and now >= self._refused_at + _REPORTS
        rolling = self._rolling and now >= min(self._began + self._rollout, self._began + _REPORTS)
        if rolling or refused:
            found["Available"] = False
        elif not self._rolling and self._refused_at is None:
            found["Available"] = True
        found["Progressing"], found["Degraded"] = rolling, refused
        if rolling or not self._rolling:
            self._seen = self._installation["metadata"]["generation"]
        self._set_conditions(status, found)

    def _set_conditions(self, status: Object, found: dict[str, bool]) -> None:
        before = {each["type"]: each["status"] for each in status["status"]["conditions"]}
        self.wrote += [(name, value) for name, value in found.items() if before.get(name) != str(value)]
        messages = {"Degraded": _REFUSED} if found["Degraded"] else {}
        status["status"]["conditions"] = [
            {"type": name, "status": str(value), "message": messages.get(name, ""), "observedGeneration": self._seen}
            for name, value in found.items()
        ]

    def _fill(self, *, bootstraps: bool) -> None:
        self._store.serve("operator.tigera.io", "v1", "installations", "Installation")
        self._store.serve("operator.tigera.io", "v1", "tigerastatuses", "TigeraStatus")
        known: Object = {
            "linuxDataplane": {},
            **({"kubeProxyManagement": {}, "bpfNetworkBootstrap": {}} if bootstraps else {}),
        }
        properties = {"spec": {"properties": {"calicoNetwork": {"properties": known}}}}
        self._store.put(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            {
                "metadata": {"name": "installations.operator.tigera.io"},
                "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"properties": properties}}}]},
            },
        )
        self._store.put(
            "operator.tigera.io",
            "installations",
            {"metadata": {"name": "default"}, "spec": {"calicoNetwork": {"linuxDataplane": "Iptables"}}},
        )
        names = {"Available": "True", "Progressing": "False", "Degraded": "False"}
        conditions = [{"type": name, "status": value, "message": ""} for name, value in names.items()]
        found = {"metadata": {"name": "calico"}, "status": {"conditions": conditions}}
        self._store.put("operator.tigera.io", "tigerastatuses", found)
