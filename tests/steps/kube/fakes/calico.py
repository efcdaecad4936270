"""A cluster with Calico on the fake API: the recorded objects, and what kube-proxy's and Felix's keepers do."""

import itertools
import json
from pathlib import Path
from typing import Any, Literal

from steps.cluster.kube.api.permissions import CALICO_GROUPS, CRD_GROUP
from steps.tasks.shared.pod import ACCOUNTS
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.fakes.operator import Operator
from tests.steps.kube.fakes.patches import copied
from tests.steps.kube.fakes.store import Store
from tests.workflows.policies import refusals
from workflows.template.admission import DELETIONS

Object = dict[str, Any]

RECORDED: Object = json.loads((Path(__file__).parents[1] / "recorded" / "objects-iptables.json").read_text())

CONFIG = """apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ""
clusterCIDR: 10.64.0.0/16
# the machine's table size is read-only here
conntrack: {maxPerCore: 0, min: 0}
"""

_READY: Object = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

_KINDS = {
    ("", "pods"): ("v1", "Pod"),
    ("", "nodes"): ("v1", "Node"),
    ("", "services"): ("v1", "Service"),
    ("", "configmaps"): ("v1", "ConfigMap"),
    ("apps", "daemonsets"): ("v1", "DaemonSet"),
    ("discovery.k8s.io", "endpointslices"): ("v1", "EndpointSlice"),
    ("apiextensions.k8s.io", "customresourcedefinitions"): ("v1", "CustomResourceDefinition"),
    ("argoproj.io", "workflows"): ("v1alpha1", "Workflow"),
    ("networking.k8s.io", "networkpolicies"): ("v1", "NetworkPolicy"),
    ("policy.networking.k8s.io", "adminnetworkpolicies"): ("v1alpha1", "AdminNetworkPolicy"),
    ("policy.networking.k8s.io", "baselineadminnetworkpolicies"): ("v1alpha1", "BaselineAdminNetworkPolicy"),
    ("policy.networking.k8s.io", "clusternetworkpolicies"): ("v1alpha2", "ClusterNetworkPolicy"),
}


class Calico:
    """The cluster. `store` is its API; controllers act after each write, at once.

    Args:
        install: by manifest, or by the operator.
        group: the API group of Calico's configuration.
        bootstraps: the operator looks after kube-proxy itself (1.40 and later).
        felix: fields of FelixConfiguration beside the recorded ones; None takes one away.
        mode: kube-proxy's.
        version: Calico's.
        rollout_s: how long the operator takes to roll calico-node out on all nodes.

    `operator`: Calico's, where it installed it.
    """

    def __init__(
        self,
        install: Literal["manifest", "operator"] = "manifest",
        *,
        group: str = CRD_GROUP,
        bootstraps: bool = True,
        felix: Object | None = None,
        mode: str = "",
        version: str = "v3.32.1",
        rollout_s: float = 0.0,
    ) -> None:
        self.store = Store()
        self.store.admission = self._deletions
        self.store.stop_clock()
        self.group = group
        self.install = install
        self.namespace = "calico-system" if install == "operator" else "kube-system"
        self._serial = itertools.count(1)
        self._felix_pid = 100
        for (kind_group, plural), (kind_version, kind) in _KINDS.items():
            self.store.serve(kind_group, kind_version, plural, kind)
        for plural, kind in (
            ("felixconfigurations", "FelixConfiguration"),
            ("ippools", "IPPool"),
            ("networkpolicies", "NetworkPolicy"),
            ("globalnetworkpolicies", "GlobalNetworkPolicy"),
        ):
            self.store.serve(group, CALICO_GROUPS[group], plural, kind)
        self.store.serve(group, CALICO_GROUPS[group], "clusterinformations", "ClusterInformation")
        self._fill(felix or {}, mode, version)
        self._felix_saw = self._felix_settings()
        self.operator = Operator(self, rollout_s, bootstraps=bootstraps) if install == "operator" else None
        self.store.after = self._control
        self._control()

    @property
    def felix(self) -> Object:
        """The default FelixConfiguration."""
        return self._must(self.group, "felixconfigurations", "", "default")

    @property
    def felix_runs_bpf(self) -> bool:
        return bool(self._felix_saw[0])

    @property
    def disturbed(self) -> list[str]:
        """What else made Felix restart while the operator rolled it out."""
        return self.operator.disturbed if self.operator is not None else []

    @property
    def collided(self) -> set[str]:
        """The nodes that lost the API server, since the operator enabled eBPF there too early."""
        return self.operator.collided if self.operator is not None else set()

    @property
    def agent(self) -> Object | None:
        """calico-node's DaemonSet."""
        return self.store.find("apps", "daemonsets", self.namespace, "calico-node")

    @property
    def kube_proxy(self) -> Object:
        return self._must("apps", "daemonsets", "kube-system", "kube-proxy")

    @property
    def kube_proxy_config(self) -> str:
        return str(self._must("", "configmaps", "kube-system", "kube-proxy")["data"]["config.conf"])

    @property
    def kube_proxy_pods(self) -> list[Object]:
        return [
            p for p in self.store.all("", "pods", "kube-system") if p["metadata"]["labels"]["k8s-app"] == "kube-proxy"
        ]

    @property
    def agents(self) -> list[Object]:
        """The pods of calico-node."""
        return [
            p for p in self.store.all("", "pods", self.namespace) if p["metadata"]["labels"]["k8s-app"] == "calico-node"
        ]

    def settings(self) -> Object:
        """Everything that a run must leave as it found it: specs and data of all that could be switched."""
        kinds = [(self.group, "felixconfigurations"), ("", "configmaps"), ("apps", "daemonsets")]
        kinds += [("operator.tigera.io", "installations")] if self.install == "operator" else []
        held: Object = {
            f"{plural} {found['metadata'].get('namespace', '')}/{found['metadata']['name']}": copied(
                found.get("spec") or found.get("data")
            )
            for group, plural in kinds
            for found in self.store.all(group, plural)
        }
        if self.install == "operator":
            held["felixconfigurations /default"].pop("bpfEnabled", None)  # the operator's own to write
        if (lock := held.get("configmaps kube-system/dataplane-benchmark")) is not None:
            lock.pop("renewed_at", None)  # a time is no setting
        return held

    def _fill(self, felix: Object, mode: str, version: str) -> None:
        recorded = copied(RECORDED)
        for plural, entries in (
            ("felixconfigurations", [recorded["felix"]]),
            ("clusterinformations", [recorded["information"]]),
            ("ippools", recorded["pools"]),
        ):
            for entry in entries:
                entry.pop("apiVersion")
                self.store.put(self.group, plural, entry)
        self.felix["spec"].update({key: value for key, value in felix.items() if value is not None})
        for key in [key for key, value in felix.items() if value is None]:
            self.felix["spec"].pop(key, None)
        self._must(self.group, "clusterinformations", "", "default")["spec"]["calicoVersion"] = version
        for entry in recorded["nodes"]:
            self.store.put("", "nodes", entry)
        recorded["calico_node"]["metadata"]["namespace"] = self.namespace
        self.store.put("apps", "daemonsets", recorded["calico_node"])
        self.store.put("apps", "daemonsets", recorded["kube_proxy"])
        text = CONFIG.replace('mode: ""', f"mode: {mode}") if mode else CONFIG
        name = {"namespace": "kube-system", "name": "kube-proxy"}
        self.store.put(
            "", "configmaps", {"metadata": name, "data": {"config.conf": text, "kubeconfig.conf": "kind: Config\n"}}
        )
        for node in ("node-a", "node-b"):
            labels = {"k8s-app": "calico-node"}
            self._pod(f"calico-node-{node}", self.namespace, labels, node)
        self.store.put(
            "discovery.k8s.io",
            "endpointslices",
            {
                "metadata": {
                    "namespace": "default",
                    "name": "kubernetes",
                    "labels": {"kubernetes.io/service-name": "kubernetes"},
                },
                "endpoints": [{"addresses": ["10.250.0.1"], "conditions": {"ready": True}}],
                "ports": [{"name": "https", "port": 6443}],
            },
        )

    def _control(self) -> None:
        """What controllers do about what is there now."""
        store = self.store
        store.after = lambda: None
        try:
            if self.operator is not None:
                self.operator.act()
            self._run_kube_proxy()
            self._run_felix()
            for pod in store.all("", "pods"):
                if "status" not in pod:
                    pod["status"] = {**copied(_READY), "podIP": f"10.64.0.{next(self._serial)}"}
            for service in store.all("", "services"):
                service["spec"].setdefault("clusterIP", f"10.97.0.{next(self._serial)}")
                for port in service["spec"]["ports"] if service["spec"].get("type") == "NodePort" else []:
                    port.setdefault("nodePort", 30_000 + next(self._serial))
        finally:
            store.after = self._control

    def fail_node(self, name: str) -> None:
        """A node stops: its kubelet answers nothing, and the node is no longer ready."""
        self.store.down.add(name)
        self._must("", "nodes", "", name)["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
        for pod in self.store.all("", "pods"):
            if pod["spec"].get("nodeName") == name:
                pod["status"] = {**pod["status"], "conditions": [{"type": "Ready", "status": "False"}]}
        self.store.after()

    def _run_kube_proxy(self) -> None:
        found = self.kube_proxy
        wanted = found["spec"]["template"]["spec"].get("nodeSelector") or {}
        nodes = [
            node["metadata"]["name"]
            for node in self.store.all("", "nodes")
            if all((node["metadata"].get("labels") or {}).get(key) == value for key, value in wanted.items())
        ]
        here = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in self.kube_proxy_pods}
        down = self.store.down
        for node in set(here) - set(nodes) - down:
            self.store.take("", "pods", "kube-system", here[node])
        for node in sorted(set(nodes) - set(here) - down):
            self._pod(f"kube-proxy-{next(self._serial)}", "kube-system", {"k8s-app": "kube-proxy"}, node)
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            "desiredNumberScheduled": len(nodes),
            **dict.fromkeys(("updatedNumberScheduled", "numberAvailable", "numberReady"), len(set(nodes) - down)),
        }

    def _run_felix(self) -> None:
        settings = self._felix_settings()
        if settings == self._felix_saw:
            return
        self._felix_saw = settings
        old, self._felix_pid = self._felix_pid, self._felix_pid + 1
        for node in {"node-a", "node-b"} - self.store.down:
            self._say(node, old, "felix/daemon.go 961: Exiting for config change rc=129")
            self.start_felix(node)

    def start_felix(self, node: str) -> None:
        """Print what a new process of Felix does."""
        bpf = self._felix_saw[0]
        lines = [
            "felix/daemon.go 200: Felix starting up GOMAXPROCS=2 builddate= gitcommit= version=",
            f"felix/driver.go 100: Using internal (linux) dataplane driver. {{BPFEnabled:{str(bpf).lower()}}}",
            *(
                ["felix/int_dataplane.go 949: BPF enabled, starting BPF endpoint manager and map manager."]
                if bpf
                else []
            ),
            "felix/int_dataplane.go 1518: Determined whether or not to use nftables useNftables=false",
            "felix/int_dataplane.go 2464: Completed first update to dataplane. secsSinceStart=1.5",
        ]
        for line in lines:
            self._say(node, self._felix_pid, line)

    def _say(self, node: str, pid: int, line: str) -> None:
        at = self.store.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        self.store.say(self.namespace, f"calico-node-{node}", f"{at} [INFO][{pid}] {line}")

    def _felix_settings(self) -> tuple[object, ...]:
        spec = self.felix["spec"]
        return bool(spec.get("bpfEnabled")), spec.get("bpfExternalServiceMode"), spec.get("nftablesMode")

    def _deletions(self, request: Request, _body: Any) -> str | None:  # noqa: ANN401 - JSON
        """Why the admission policy refuses to delete a pod, which is deleted by the switching account."""
        if request.plural != "pods" or request.verb != "delete":
            return None
        pod, user = self.store.find("", "pods", request.namespace, request.name), "system:serviceaccount:bench:"
        found = refusals(DELETIONS, None, old=pod, user=user + ACCOUNTS["switch"], operation="DELETE",
                         namespace=request.namespace) if pod else []  # fmt: skip
        return f"denied: {found[0]}" if found else None

    def _pod(self, name: str, namespace: str, labels: Object, node: str) -> None:
        daemon_set = labels["k8s-app"]  # both DaemonSets here have the name of their label, and of their container
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": daemon_set, "uid": "1", "controller": True}
        meta = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
        spec = {"nodeName": node, "containers": [{"name": daemon_set}]}
        self.store.put("", "pods", {"metadata": meta, "spec": spec, "status": copied(_READY)})

    def run_agent(self, node: str) -> None:
        """Have calico-node on a node too, as its DaemonSet does when the node joins."""
        self._pod(f"calico-node-{node}", self.namespace, {"k8s-app": "calico-node"}, node)
        self._must("apps", "daemonsets", self.namespace, "calico-node")["status"]["desiredNumberScheduled"] += 1

    def _must(self, group: str, plural: str, namespace: str, name: str) -> Object:
        found = self.store.find(group, plural, namespace, name)
        assert found is not None, (plural, namespace, name)
        return found
