"""What a cluster is, from the objects that were read: the facts by which a switch is planned or refused. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from steps.cluster.kube.api import quantity
from steps.cluster.kube.api.fields import read_field
from steps.cluster.kube.api.nodes import ClusterNode, read_node, with_agent
from steps.cluster.kube.api.permissions import DEFAULT
from steps.cluster.kube.calico import direct_return, kube_proxy, started
from steps.cluster.kube.calico.dataplanes import known
from steps.cluster.kube.calico.gitops import ADDON_MANAGER, Reconciler, annotations, labels, owners
from steps.cluster.kube.calico.objects import CALICO_NODE, SWITCHED, ClusterObjects, agent_containers

Object = dict[str, Any]
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
_VPP: Final = "calico-vpp-node"

_OPERATOR_REFUSES: Final = ("app.kubernetes.io/managed-by", ADDON_MANAGER, "argocd.argoproj.io/instance")

_TRUE: Final = frozenset({"true", "1", "yes", "y", "t"})
_QUIET_LEVELS: Final = frozenset({"warn", "warning", "error", "fatal", "critical", "none"})
_LOG_LEVEL: Final = "FELIX_LOGSEVERITYSCREEN"
_NFTABLES_SINCE: Final = (3, 29, 0)
_AUTO_SINCE: Final = (3, 32, 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster's facts. None is unknown or absent.

    `install`: None where there is no Calico that we know how to switch. `bootstraps`: the operator looks after
    kube-proxy and the API server's address itself. `kube_proxy_mode`: None where what kube-proxy is started with could
    not be read; `kube_proxy_source`: where it was looked for; `kube_proxy_config_key`: None where its mode can't be
    switched. `overrides`: Felix parameters that calico-node's environment sets, which beat FelixConfiguration, and
    `override_origins` where they come from, if not from its DaemonSet itself. `unread_environment`: what else may set
    some and was not read. `narrower`: FelixConfigurations for some nodes that set what a switch would.
    `owners`: objects that a switch patches, and who keeps them: GitOps tools, add-on managers and the like.
    `agent`: the name of Calico's DaemonSet, and `agent_labels` the selector of its pods.
    `dsr_opt_outs`: CIDRs whose clients get no direct server return, by what says so.
    """

    group: str | None
    install: Install | None
    bootstraps: bool
    calico_version: str | None
    calico_namespace: str | None
    kubernetes_version: str | None
    dataplane: str | None
    linux_dataplane: str | None
    nodes: tuple[ClusterNode, ...]
    vpp: bool
    other_cnis: tuple[str, ...]
    kube_proxy: Object | None
    kube_proxy_mode: str | None
    kube_proxy_config_key: str | None
    encapsulation: str | None
    pools: tuple[dict[str, object], ...]
    mtu: str | None
    overrides: dict[str, str]
    narrower: dict[str, tuple[str, ...]]
    owners: dict[str, Reconciler]
    log_level: str | None
    aws_source_check: str | None
    nftables_mode: str | None = None
    log_level_overridden: bool = False
    kube_proxy_source: str = ""
    override_origins: dict[str, str] = field(default_factory=dict)
    unread_environment: tuple[str, ...] = ()
    kube_proxy_skips_kernel_check: bool = False
    dsr_opt_outs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    agent: str = CALICO_NODE
    agent_labels: str = f"k8s-app={CALICO_NODE}"

    @property
    def version(self) -> tuple[int, int, int] | None:
        """Calico's version as numbers."""
        return quantity.version(self.calico_version) if self.calico_version else None

    @property
    def knows_nftables(self) -> bool:
        """Whether this Calico has an nftables dataplane."""
        return self.version is not None and self.version >= _NFTABLES_SINCE

    @property
    def nftables_follows_kube_proxy(self) -> bool:
        """Whether Felix takes iptables or nftables after kube-proxy by itself (nftablesMode Auto, the default)."""
        return self.version is not None and self.version >= _AUTO_SINCE

    @property
    def ipvs(self) -> bool:
        """Whether Services are forwarded by IPVS: kube-proxy is in that mode, and runs."""
        parked = self.kube_proxy is not None and kube_proxy.stands_still(self.kube_proxy)
        return self.kube_proxy_mode == "ipvs" and not parked

    @property
    def follows_kube_proxy(self) -> bool:
        """Whether it does so as it is configured now."""
        return self.nftables_follows_kube_proxy and (self.nftables_mode or "Auto").lower() == "auto"

    @property
    def silenced(self) -> str | None:
        """The level at which Felix logs, where it hides what most of a switch's signs are read from; else None."""
        return self.log_level if (self.log_level or "").lower() in _QUIET_LEVELS else None

    @property
    def policy_only(self) -> bool:
        """Whether Calico gives pods neither addresses nor routes here, and only enforces policy and serves Services."""
        return self.install is not None and not any(not pool.get("disabled") for pool in self.pools)

    @property
    def ipv6_only(self) -> bool:
        """Whether its nodes are reached by IPv6 and by nothing else."""
        known = [address for node in self.linux_nodes for address in node.addresses]
        return bool(known) and all(":" in address for address in known)

    @property
    def linux_nodes(self) -> tuple[ClusterNode, ...]:
        """The nodes on which Calico switches the dataplane."""
        return tuple(node for node in self.nodes if node.os == "linux" and node.calico)

    @property
    def windows_nodes(self) -> tuple[str, ...]:
        """The nodes whose dataplane is Windows HNS."""
        return tuple(node.name for node in self.nodes if node.os == "windows")


def read_facts(objects: ClusterObjects) -> Facts:
    """The facts that the objects tell."""
    agent = objects.agent
    felix = objects.felix_default
    environment = objects.agent_environment
    linux_dataplane = _text(objects.installation, ("spec", "calicoNetwork", "linuxDataplane"))
    vpp = objects.daemon_set(_VPP) is not None or linux_dataplane == "VPP"
    install = _install(objects, agent)
    # without Calico's agent there is another CNI, which is measured as it is on whatever node
    every = frozenset(found["metadata"]["name"] for found in objects.nodes)
    calico_nodes = every if agent is None else with_agent(objects.agent_pods, agent, objects.nodes)
    mode, source, key = started.proxy_mode(objects)
    return Facts(
        group=objects.group,
        install=install,
        bootstraps=_bootstraps(objects),
        calico_version=_calico_version(objects, agent),
        calico_namespace=agent["metadata"]["namespace"] if agent else None,
        kubernetes_version=objects.server_version,
        dataplane=None if vpp or agent is None else _dataplane(objects, mode),
        linux_dataplane=linux_dataplane,
        nodes=tuple(read_node(found, calico_nodes) for found in objects.nodes),
        vpp=vpp,
        other_cnis=_other_cnis(objects),
        kube_proxy=objects.kube_proxy,
        kube_proxy_mode=mode,
        kube_proxy_config_key=key,
        encapsulation=_encapsulation(objects.pools),
        pools=tuple(_pool(pool) for pool in objects.pools),
        mtu=_mtu(objects),
        overrides=started.overrides(objects) if install == "manifest" else {},
        narrower=_narrower(objects.felix),
        owners=owners(objects),
        log_level=environment.get(_LOG_LEVEL) or _text(felix, ("spec", "logSeverityScreen")),
        aws_source_check=environment.get("FELIX_AWSSRCDSTCHECK") or _text(felix, ("spec", "awsSrcDstCheck")),
        nftables_mode=_felix(objects)["nftablesMode"],
        log_level_overridden=_LOG_LEVEL in environment.variables,
        kube_proxy_source=source,
        override_origins=started.override_origins(objects) if install == "manifest" else {},
        unread_environment=environment.unread if install == "manifest" else (),
        kube_proxy_skips_kernel_check=started.skips_kernel_check(objects.kube_proxy),
        dsr_opt_outs=direct_return.opt_outs(objects.felix, environment.get(direct_return.VARIABLE)),
        agent=agent["metadata"]["name"] if agent is not None else CALICO_NODE,
        agent_labels=kube_proxy.selector(agent) if agent is not None else f"k8s-app={CALICO_NODE}",
    )


def _install(objects: ClusterObjects, agent: Object | None) -> Install | None:
    if objects.group is None or agent is None:
        return None
    return "operator" if objects.installation is not None else "manifest"


def _bootstraps(objects: ClusterObjects) -> bool:
    versions = read_field(objects.definition, ("spec", "versions"))
    path = ("schema", "openAPIV3Schema", "properties", "spec", "properties", "calicoNetwork", "properties")
    known = any(
        read_field(_inner(each, path), ("kubeProxyManagement",)) is not None
        for each in (versions if isinstance(versions, list) else [])
    )
    marks = {**labels(objects.kube_proxy), **annotations(objects.kube_proxy)}
    return known and not any(mark in marks for mark in _OPERATOR_REFUSES)


def _inner(found: Object, path: tuple[str, ...]) -> Object | None:
    """An object within an object."""
    here = read_field(found, path)
    return here if isinstance(here, dict) else None


def _dataplane(objects: ClusterObjects, mode: str | None) -> str | None:
    """The dataplane of the catalogue that the settings stand for; None: it is not in the catalogue."""
    felix = _felix(objects)
    spec = (objects.felix_default or {}).get("spec") or {}
    bpf = bool(felix["bpfEnabled"])
    direct = bpf and str(felix["bpfExternalServiceMode"] or "").upper() == "DSR"
    traits = (bpf, not bpf and _nftables(objects, mode), direct)
    # what sets further fields is it where they all hold that; what sets none, otherwise
    fit = [
        each
        for each in known()
        if each.traits == traits and all(spec.get(name) == value for name, value in each.how.further.items())
    ]
    best = max(fit, key=lambda each: len(each.how.further), default=None)
    return best.name if best is not None else None


def _nftables(objects: ClusterObjects, mode: str | None) -> bool:
    """Whether Felix writes nftables rules where it runs no eBPF."""
    if objects.installation is not None:  # the operator writes nftablesMode after it
        return _text(objects.installation, ("spec", "calicoNetwork", "linuxDataplane")) == "Nftables"
    nft = _felix(objects)["nftablesMode"]
    version = quantity.version(_calico_version(objects, objects.agent) or "")
    if version is not None and version < _NFTABLES_SINCE:
        return False
    automatic = nft == "Auto" or (not nft and version is not None and version >= _AUTO_SINCE)
    return nft == "Enabled" or (automatic and mode == "nftables")


def _felix(objects: ClusterObjects) -> Object:
    """The settings that decide the dataplane as Felix takes them: calico-node's environment beats all else."""
    spec = (objects.felix_default or {}).get("spec") or {}
    environment = objects.agent_environment
    beats = {name: environment.get(f"FELIX_{name.upper()}") for name in SWITCHED}
    linux = _text(objects.installation, ("spec", "calicoNetwork", "linuxDataplane"))
    bpf = bool(spec.get("bpfEnabled")) or linux == "BPF"
    return {
        "bpfEnabled": bpf if beats["bpfEnabled"] is None else beats["bpfEnabled"].lower() in _TRUE,
        "bpfExternalServiceMode": beats["bpfExternalServiceMode"] or spec.get("bpfExternalServiceMode"),
        "nftablesMode": (beats["nftablesMode"] or spec.get("nftablesMode") or "").capitalize() or None,
    }


def _calico_version(objects: ClusterObjects, agent: Object | None) -> str | None:
    if configured := _text(objects.information, ("spec", "calicoVersion")):
        return configured
    images = [c.get("image", "") for c in agent_containers(agent)]
    tags = [image.rpartition(":")[2] for image in images if quantity.version(image.rpartition(":")[2])]
    return tags[0] if tags else None


def _other_cnis(objects: ClusterObjects) -> tuple[str, ...]:
    names = {found["metadata"]["name"] for found in objects.daemon_sets}
    return tuple(title for name, title in _OTHER_CNIS.items() if name in names)


def _encapsulation(pools: Iterable[Object]) -> str | None:
    kinds = set()
    for pool in pools:
        spec = pool.get("spec") or {}
        if spec.get("disabled"):
            continue
        vxlan, ipip = spec.get("vxlanMode", "Never"), spec.get("ipipMode", "Never")
        kinds.add(f"VXLAN {vxlan}" if vxlan != "Never" else f"IP in IP {ipip}" if ipip != "Never" else "none")
    return " and ".join(sorted(kinds)) or None


def _pool(pool: Object) -> dict[str, object]:
    spec = pool.get("spec") or {}
    return {
        "name": pool["metadata"]["name"],
        **{key: spec.get(key) for key in ("cidr", "vxlanMode", "ipipMode", "natOutgoing", "disabled")},
    }


def _mtu(objects: ClusterObjects) -> str | None:
    felix = (objects.felix_default or {}).get("spec") or {}
    configured = felix.get("vxlanMTU") or felix.get("mtu") or objects.agent_environment.get("FELIX_VXLANMTU")
    configured = configured or read_field(objects.installation, ("spec", "calicoNetwork", "mtu"))
    return str(configured) if configured else None


def _narrower(felix: Iterable[Object]) -> dict[str, tuple[str, ...]]:
    found = {}
    for each in felix:
        spec = each.get("spec") or {}
        name = each["metadata"]["name"]
        narrow = name.startswith("node.") or (name != DEFAULT and spec.get("nodeSelector"))
        if narrow and (sets := tuple(key for key in SWITCHED if spec.get(key) is not None)):
            found[name] = sets
    return found


def _text(found: Object | None, path: tuple[str, ...]) -> str | None:
    value = read_field(found, path)
    return value if isinstance(value, str) else None
