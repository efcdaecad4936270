"""The facts of a cluster, derived from its objects, by which a switch is planned or refused. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from steps.cluster.kube.api import quantity
from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.nodes import ClusterNode, read_node, with_agent
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import KUBE_PROXY, TIGERA_OPERATOR
from steps.cluster.kube.plugins.calico.inventory import felix_settings, kube_proxy, startup
from steps.cluster.kube.plugins.calico.inventory.environment import ContainerVariable
from steps.cluster.kube.plugins.calico.inventory.objects import CALICO_NODE, ClusterObjects, agent_containers
from steps.cluster.kube.plugins.calico.inventory.reconcilers import ADDON_MANAGER, marks_of

Install = Literal["manifest", "operator"]

_OTHER_CNIS: Final = {
    "cilium": "Cilium",
    "kube-flannel-ds": "Flannel",
    "aws-node": "Amazon VPC CNI",
    "weave-net": "Weave Net",
    "antrea-agent": "Antrea",
    "kube-router": "kube-router",
    "ovnkube-node": "OVN-Kubernetes",
    "kindnet": "kindnet",
    "azure-cns": "Azure CNI",
    "canal": "Flannel",
    "rke2-canal": "Flannel",
    "netd": "GKE's own network",
}
_NETWORK: Final = ("spec", "calicoNetwork")
_VPP: Final = "calico-vpp-node"
_ANNOTATIONS: Final = ("projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address")
"""Of calico-node on its node: one or both where it makes the routes, neither where it only enforces policy."""

_OPERATOR_REFUSES: Final = ("app.kubernetes.io/managed-by", ADDON_MANAGER, "argocd.argoproj.io/instance")

_QUIET_LEVELS: Final = frozenset({"warn", "warning", "error", "fatal", "critical", "none"})
_LOG_LEVEL: Final = "FELIX_LOGSEVERITYSCREEN"
_OPERATOR_BPF: Final = "operator.tigera.io/bpfEnabled"


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster's facts. None is unknown or absent.

    Attributes:
        install: how Calico was installed; None: there is no Calico, or none that can be switched.
        knows_management: whether the operator's version can manage kube-proxy.
        bootstraps: whether in a switch the operator itself looks after kube-proxy and the API server's address.
        bootstrap: the Installation's bpfNetworkBootstrap.
        operator_bpf: what the operator last wrote to bpfEnabled, by its annotation. While the field has another value,
            it leaves it alone (pkg/controller/installation/bpf.go of the operator 1.42.3).
        kube_proxy_mode: None where kube-proxy's configuration can't be read.
        kube_proxy_source: where kube-proxy's mode is configured.
        kube_proxy_config_key: the key of ConfigMap kube-proxy by which the mode is switched; None: it can't be.
        policy_only: whether another plugin assigns addresses and routes, and Calico only enforces policy and serves
            Services.
        overrides: Felix parameters in calico-node's environment, which take precedence over FelixConfiguration.
        unread_environment: sources of further such parameters that these credentials may not read.
        narrower: FelixConfigurations of some nodes only that set fields a switch would set.
        log_level_overridden: whether calico-node's environment sets Felix's log level.
        agent: the name of Calico's DaemonSet.
        agent_labels: the label selector of its pods.
    """

    group: str | None
    install: Install | None
    knows_management: bool
    bootstraps: bool
    calico_version: str | None
    calico_namespace: str | None
    dataplane: str | None
    nodes: tuple[ClusterNode, ...]
    vpp: bool
    other_cnis: tuple[str, ...]
    kube_proxy: Object | None
    kube_proxy_mode: str | None
    kube_proxy_config_key: str | None
    encapsulation: str | None
    policy_only: bool
    overrides: dict[str, ContainerVariable]
    narrower: dict[str, tuple[str, ...]]
    log_level: str | None
    aws_source_check: str | None
    bootstrap: str | None = None
    operator_bpf: str | None = None
    nftables_mode: str | None = None
    log_level_overridden: bool = False
    kube_proxy_source: str = ""
    unread_environment: tuple[str, ...] = ()
    kube_proxy_skips_kernel_check: bool = False
    agent: str = CALICO_NODE
    agent_labels: str = f"k8s-app={CALICO_NODE}"

    @property
    def version(self) -> tuple[int, int, int] | None:
        """Calico's version as numbers."""
        return quantity.version(self.calico_version) if self.calico_version else None

    @property
    def knows_nftables(self) -> bool:
        """Whether this Calico has an nftables dataplane."""
        return self.version is not None and self.version >= felix_settings.NFTABLES_SINCE

    @property
    def nftables_follows_kube_proxy(self) -> bool:
        """Whether nftablesMode Auto, by which Felix follows kube-proxy's mode, is this version's default."""
        return self.version is not None and self.version >= felix_settings.NFTABLES_AUTO_SINCE

    @property
    def ipvs(self) -> bool:
        """Whether Services are forwarded by IPVS: kube-proxy runs in that mode."""
        parked = self.kube_proxy is not None and kube_proxy.runs_nowhere(self.kube_proxy)
        return self.kube_proxy_mode == "ipvs" and not parked

    @property
    def kube_proxy_labels(self) -> str:
        """The label selector of kube-proxy's pods."""
        return kube_proxy.selector(self.kube_proxy) if self.kube_proxy is not None else f"k8s-app={KUBE_PROXY}"

    @property
    def follows_kube_proxy(self) -> bool:
        """Whether Felix follows kube-proxy's mode as it is configured now."""
        return self.nftables_follows_kube_proxy and (self.nftables_mode or "Auto").lower() == "auto"

    @property
    def watches_kube_proxy(self) -> bool:
        """Whether Felix looks for what kube-proxy makes in its mode, and may restart when kube-proxy comes or goes."""
        return self.follows_kube_proxy if self.kube_proxy_mode == "nftables" else self.kube_proxy_mode != "iptables"

    @property
    def silenced(self) -> str | None:
        """Felix's log level where it hides the lines that most signs come from; else None."""
        return self.log_level if (self.log_level or "").lower() in _QUIET_LEVELS else None

    @property
    def ipv6_only(self) -> bool:
        """Whether the nodes have IPv6 addresses only."""
        known = [address for node in self.linux_nodes for address in node.addresses]
        return bool(known) and all(":" in address for address in known)

    @property
    def linux_nodes(self) -> tuple[ClusterNode, ...]:
        """The nodes on which Calico switches the dataplane."""
        return tuple(node for node in self.nodes if node.os == "linux" and node.has_agent)

    @property
    def windows_nodes(self) -> tuple[str, ...]:
        """The nodes whose dataplane is Windows HNS."""
        return tuple(node.name for node in self.nodes if node.os == "windows")


def read_facts(objects: ClusterObjects) -> Facts:
    """The facts that follow from the objects."""
    agent = objects.agent
    environment = objects.agent_environment
    felix = felix_settings.effective_settings(objects)
    linux_dataplane = _text(objects.installation, (*_NETWORK, "linuxDataplane"))
    vpp = objects.daemon_set(_VPP) is not None or linux_dataplane == "VPP"
    install = _install(objects, agent)
    # without Calico's agent another CNI runs, which is measured as-is on any node
    every = frozenset(found["metadata"]["name"] for found in objects.nodes)
    agent_nodes = every if agent is None else with_agent(objects.agent_pods, agent, objects.nodes, _ANNOTATIONS)
    knows_management = _knows_management(objects)
    mode, source, key = startup.proxy_mode(objects)
    calico_version = _calico_version(objects)
    version = quantity.version(calico_version or "")
    manifest = install == "manifest"
    return Facts(
        group=objects.group,
        install=install,
        knows_management=knows_management,
        bootstraps=knows_management and _bootstraps(objects),
        bootstrap=_text(objects.installation, (*_NETWORK, "bpfNetworkBootstrap")),
        calico_version=calico_version,
        calico_namespace=agent["metadata"]["namespace"] if agent else None,
        dataplane=None if vpp or agent is None else felix_settings.running_dataplane(objects, mode, version),
        nodes=tuple(read_node(found, agent_nodes) for found in objects.nodes),
        vpp=vpp,
        other_cnis=tuple(title for name, title in _OTHER_CNIS.items() if objects.daemon_set(name) is not None),
        kube_proxy=objects.kube_proxy,
        kube_proxy_mode=mode,
        kube_proxy_config_key=key,
        encapsulation=_encapsulation(objects.pools),
        policy_only=install is not None and all((pool.get("spec") or {}).get("disabled") for pool in objects.pools),
        overrides=startup.overrides(objects) if manifest else {},
        narrower=felix_settings.node_specific_settings(objects.felix),
        log_level=environment.get(_LOG_LEVEL) or _text(objects.felix_default, ("spec", "logSeverityScreen")),
        aws_source_check=environment.get("FELIX_AWSSRCDSTCHECK")
        or _text(objects.felix_default, ("spec", "awsSrcDstCheck")),
        operator_bpf=_text(objects.felix_default, ("metadata", "annotations", _OPERATOR_BPF)),
        nftables_mode=felix["nftablesMode"],
        log_level_overridden=_LOG_LEVEL in environment.variables,
        kube_proxy_source=source,
        unread_environment=environment.unread if manifest else (),
        kube_proxy_skips_kernel_check=startup.skips_kernel_check(objects.kube_proxy),
        agent=agent["metadata"]["name"] if agent is not None else CALICO_NODE,
        agent_labels=kube_proxy.selector(agent) if agent is not None else f"k8s-app={CALICO_NODE}",
    )


def _install(objects: ClusterObjects, agent: Object | None) -> Install | None:
    if objects.group is None or agent is None:
        return None
    return "operator" if objects.installation is not None else "manifest"


def _knows_management(objects: ClusterObjects) -> bool:
    versions = read_field(objects.definition, ("spec", "versions"))
    path = ("schema", "openAPIV3Schema", "properties", "spec", "properties", "calicoNetwork", "properties")
    return any(
        read_field(each, (*path, "kubeProxyManagement")) is not None
        for each in (versions if isinstance(versions, list) else [])
    )


def _bootstraps(objects: ClusterObjects) -> bool:
    """Whether an operator that knows how looks after kube-proxy in a switch, or would if it were told to.

    Where eBPF was enabled by hand, as Calico has long documented it, the operator leaves alone the selector that parks
    kube-proxy, and is degraded when it should find the API server's address beside the ConfigMap that has it.
    """
    marks, found = marks_of(objects.kube_proxy), objects.kube_proxy
    if any(mark in marks for mark in _OPERATOR_REFUSES):
        return False
    if _text(objects.installation, (*_NETWORK, "kubeProxyManagement")) == "Enabled":
        return True
    in_ebpf = _text(objects.installation, (*_NETWORK, "linuxDataplane")) == "BPF"
    has_address = objects.services_endpoints.get(TIGERA_OPERATOR) is not None
    if found is None and _text(objects.installation, (*_NETWORK, "bpfNetworkBootstrap")) == "Enabled":
        return not has_address  # it finds the API server, and there is no kube-proxy to look after
    by_hand = in_ebpf or has_address
    return not by_hand and (found is None or not kube_proxy.runs_nowhere(found))


def _calico_version(objects: ClusterObjects) -> str | None:
    if configured := _text(objects.information, ("spec", "calicoVersion")):
        return configured
    images = [c.get("image", "") for c in agent_containers(objects.agent)]
    tags = [image.rpartition(":")[2] for image in images if quantity.version(image.rpartition(":")[2])]
    return tags[0] if tags else None


def _encapsulation(pools: Iterable[Object]) -> str | None:
    kinds = set()
    for pool in pools:
        spec = pool.get("spec") or {}
        if spec.get("disabled"):
            continue
        vxlan, ipip = spec.get("vxlanMode", "Never"), spec.get("ipipMode", "Never")
        kinds.add(f"VXLAN {vxlan}" if vxlan != "Never" else f"IP in IP {ipip}" if ipip != "Never" else "none")
    return " and ".join(sorted(kinds)) or None


def _text(found: Object | None, path: tuple[str, ...]) -> str | None:
    value = read_field(found, path)
    return value if isinstance(value, str) else None
