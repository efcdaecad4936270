"""What was observed on a node, as signs that each indicate some of Calico's dataplanes. Pure.

The signs do not depend on the requested dataplane, and a setting alone indicates none: on an unsuitable kernel Felix
reads `BPFEnabled: true` and runs without BPF.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from steps.cluster.kube.plugins.calico.dataplanes import known, names
from steps.cluster.kube.plugins.calico.felix.log import FelixLog
from steps.cluster.kube.plugins.calico.felix.process import FelixProcess
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.domain import Moment, Sign
from steps.proof.evaluate import STAYS

KNOWN: Final = names()
_RULES: Final = names(lambda each: not each.entry.bpf)
_BPF: Final = names(lambda each: each.entry.bpf)
_DIRECT: Final = names(lambda each: bool(each.entry.direct_return))
_TUNNELLED: Final = names(lambda each: not each.entry.direct_return)
_PROXY: Final = {
    # with BPF, kube-proxy may still run in any mode
    mode: names(lambda each, mode=mode: each.entry.bpf or each.how.proxy_mode == mode)  # type: ignore[misc]
    for mode in ("iptables", "nftables")
}

_LOG: Final = "Felix's log"

Indicates = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything observed on one node at one time.

    Attributes:
        node: its name.
        felix: calico-node's log there; None: it could not be read.
        host: the report of the node's probe pod; None: there is none.
        answers: connections to Services that depend on this node.
        missed: why something could not be observed, each as a clause.
        follows_proxy: whether Felix follows kube-proxy's mode (nftablesMode Auto), so that it indicates Felix's.
        silenced: Felix's log level where it hides the lines that most signs come from; else None.
    """

    node: str
    felix: FelixLog | None = None
    host: HostProbe | None = None
    answers: tuple[ServiceProbe, ...] = ()
    missed: tuple[str, ...] = ()
    follows_proxy: bool = True
    silenced: str | None = None

    @property
    def current(self) -> FelixProcess | None:
        """The last Felix process of the log."""
        return self.felix.current if self.felix is not None else None


def node_signs(observation: Observation, moment: Moment, now: datetime) -> list[Sign]:
    """The signs of one node, including those that indicate nothing.

    `now`: the time of signs that have none of their own.
    """
    found: list[tuple[str, str, datetime, Indicates]] = []
    if observation.felix is not None and observation.current is not None:
        which = f"process {observation.current.pid} {observation.felix.container}".rstrip()
        found.append((STAYS, which, observation.current.last_at, None))
        found += _felix(observation.current)
    if observation.host is not None:
        found += _host(observation.host, follows_proxy=observation.follows_proxy)
    found += [
        (answer.target, "answered", answer.ok_at, None)
        for answer in observation.answers
        if answer.ok_at is not None and (answer.failed_at is None or answer.ok_at > answer.failed_at)
    ]
    found += [("look", missed, now, None) for missed in observation.missed]
    return [
        Sign(moment=moment, node=observation.node, looked_at=what, seen=seen, at=at, indicates=indicates)
        for what, seen, at, indicates in found
    ]


def _felix(process: FelixProcess) -> Iterator[tuple[str, str, datetime, Indicates]]:
    if process.started_at is not None:
        yield _LOG, f"process {process.pid} started", process.started_at, None
    if process.fallback is not None:
        yield _LOG, process.fallback.text, process.fallback.at, _RULES
    if process.driver_bpf is not None:
        on = process.driver_bpf.text == "true"
        yield _LOG, f"made its driver with BPF {_on(on)}", process.driver_bpf.at, _BPF if on else _RULES
    if process.bpf:
        yield _LOG, process.bpf[-1].text, process.bpf[-1].at, _BPF
    yield from _felix_return(process)
    yield from _felix_state(process)
    for each in known():
        others = tuple(name for name in KNOWN if name != each.name)
        for mark, is_own in each.how.shows(process) if each.how.shows is not None else ():
            yield _LOG, mark.text, mark.at, (each.name,) if is_own else others
    for name in ("BPFEnabled", "BPFExternalServiceMode", "NFTablesMode"):
        if value := process.values.get(name):
            yield _LOG, f"read {name} {value.value} from {value.source}", value.at, None
    if process.dropped:
        yield _LOG, f"it dropped {process.dropped} lines", process.last_at, None


def _felix_return(process: FelixProcess) -> Iterator[tuple[str, str, datetime, Indicates]]:
    if process.in_bpf and process.driver_dsr is not None:
        seen = f"made its driver with direct server return {_on(process.driver_dsr)}"
        at = process.started_at or process.first_at
        yield _LOG, seen, at, _DIRECT if process.driver_dsr else _TUNNELLED
    if process.in_bpf and process.attached_dsr is not None:
        seen = f"attached its programs with direct server return {_on(process.attached_dsr)}"
        by_return = tuple(name for name in _BPF if (name in _DIRECT) == process.attached_dsr)
        yield _LOG, seen, process.last_at, by_return


def _felix_state(process: FelixProcess) -> Iterator[tuple[str, str, datetime, Indicates]]:
    if process.use_nftables is not None:
        own = "nftables" if process.use_nftables else "iptables"
        yield _LOG, f"determined to use {own}", process.started_at or process.first_at, _PROXY[own]
    if "BPFEndpointManager" in process.components:
        yield _LOG, "its health has a row BPFEndpointManager", process.ready_at or process.last_at, _BPF
    elif process.tables and process.in_bpf is False:
        yield _LOG, "its health has no row BPFEndpointManager", process.ready_at or process.last_at, _RULES
    if process.first_update is not None:
        yield _LOG, process.first_update.text, process.first_update.at, None


def _host(host: HostProbe, *, follows_proxy: bool) -> Iterator[tuple[str, str, datetime, Indicates]]:
    if host.interfaces is not None:
        own = sorted(name for name in host.interfaces if name in {"bpfin.cali", "bpfout.cali"})
        yield "interfaces", " and ".join(own) or "no bpfin.cali, no bpfout.cali", host.at, _BPF if own else _RULES
    if host.tunnel_external is not None:
        seen = "tunnels chosen by BPF" if host.tunnel_external else "tunnels chosen by the kernel's tables"
        yield "vxlan.calico", seen, host.at, _BPF if host.tunnel_external else _RULES
    if host.proxy_mode is not None:
        indicated = None if host.proxy_mode in _PROXY and not follows_proxy else _PROXY.get(host.proxy_mode, ())
        yield "kube-proxy's mode", host.proxy_mode, host.at, indicated
    if host.agent_ready is not None:
        yield "Felix's readiness", "ready" if host.agent_ready else "not ready", host.at, None
    if host.agent_started_at is not None:
        yield "Felix's metrics", "process started", host.agent_started_at, None


def _on(flag: bool) -> str:  # noqa: FBT001 - a word for a flag
    return "on" if flag else "off"
