"""Whether a switch of Calico's dataplane is complete, from observations of each node. Pure.

Neither Ready nor a rollout's status nor a single log line is sufficient. A switch is complete when no node fell back;
Felix on each node has restarted if necessary, has written the dataplane, and has run stably for a while; Services
answer; and several independent signs on every node agree on the requested dataplane.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.cluster.kube.calico.felix.process import FelixProcess
from steps.cluster.kube.calico.proof.signs import Observation, node_signs
from steps.cluster.kube.probe.report import HostProbe
from steps.domain import Moment, Sign
from steps.proof.wait import FOR_GOOD, WAITING

STABLE_S: Final = 45.0
"""The time without a restart that proves stability: Felix may crash after its first update, and may start twice."""

FEWEST_SIGNS: Final = 2
"""The fewest conclusive signs of each node: a single one may come from a stray line."""

QUIET_S: Final = 5.0
"""The time without a failed connection to a Service: during a switch, new connections fail occasionally."""

FRESH_S: Final = 20.0
"""The greatest age of an answer or an observation that still describes the present state."""

NOTICE_S: Final = 20.0
"""Felix reads kube-proxy's mode every 15 s, so for so long an unchanged node may not have noticed the switch yet."""

SPEAK_UP: Final = """kubectl patch felixconfiguration default --type merge -p '{"spec":{"logSeverityScreen":"Info"}}'"""
"""The command that makes Felix log at level Info."""

_UNANSWERED: Final = timedelta(seconds=15)
"""The time without an answer of a Service after which kube-proxy's rules are taken to be missing."""

_SKEW: Final = timedelta(seconds=2)
"""The greatest difference between the clocks of a node and the server, whose times are whole seconds."""


def reported_signs(
    observations: Sequence[Observation],
    requested: str,
    now: datetime,
    *,
    nodes: Sequence[str],
    changed_at: datetime | None = None,
    stable_s: float = STABLE_S,
    moment: Moment = "before",
    unprobed: Sequence[str] = (),
) -> list[Sign]:
    """All signs of one observation of the nodes, for a judgement that knows nothing of Calico.

    What is incomplete, and what can't be proven any more, are signs that agree with no dataplane.

    Args:
        observations: of each node that Calico manages.
        requested: the visit's arm; it decides only whether a fallback matters.
        now: by the same clock as the observations' times.
        nodes: those that must be proven. A fallback counts on any node.
        changed_at: the last change of the switch; None: nothing was changed.
        stable_s: the time that must have passed since the last start, update or change.
        moment: of the visit.
        unprobed: nodes without a probe pod. Each is complete unless Felix's log there shows that it is not.
    """
    contrary = [
        *((WAITING, *each) for each in _incomplete_nodes(observations, now, nodes, changed_at, stable_s)),
        *((WAITING, *each) for each in _unfinished_nodes(observations, unprobed)),
        *((FOR_GOOD, *each) for each in _fallen_back(observations, requested)),
        *((FOR_GOOD, *each) for each in _indistinguishable_nodes(observations, requested, now, nodes)),
    ]
    return [
        *(sign for observation in observations for sign in node_signs(observation, moment, now)),
        *(
            Sign(moment=moment, node=node, looked_at=what, seen=reason, at=now, indicates=())
            for what, node, reason in contrary
        ),
    ]


def _incomplete_nodes(
    observations: Sequence[Observation],
    now: datetime,
    nodes: Sequence[str],
    changed_at: datetime | None,
    stable_s: float,
) -> Iterator[tuple[str, str]]:
    """The nodes on which the switch is incomplete, with each reason."""
    by_node = {observation.node: observation for observation in observations}
    for node in nodes:
        if node not in by_node:
            yield node, "it was not observed"
            continue
        for reason in _pending(by_node[node], now, changed_at, stable_s):
            yield node, reason
        conclusive = [sign for sign in node_signs(by_node[node], "before", now) if sign.indicates is not None]
        if len({(sign.looked_at, sign.seen) for sign in conclusive}) < FEWEST_SIGNS:
            yield node, f"it shows {len(conclusive)} conclusive signs, and {FEWEST_SIGNS} are needed"


def _unfinished_nodes(observations: Sequence[Observation], nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Which of these nodes' Felix has something left to do by its log, each with the reason."""
    for each in observations:
        if each.node in nodes and each.current is not None:
            for reason in _unfinished(each, each.current):
                yield each.node, reason


def _fallen_back(observations: Sequence[Observation], requested: str) -> Iterator[tuple[str, str]]:
    """The nodes that run without BPF though it is requested, with the reason."""
    entry = BY_NAME.get(Arm.parse(requested).name)
    if entry is None or not entry.bpf:
        return
    for observation in observations:
        current = observation.current
        if current is not None and current.fallback is not None and not current.gone:
            reason = (
                f"Felix fell back from BPF ({current.fallback.text}); nodes that differ can't reach each other: "
                "upgrade that node's kernel to 5.10 or newer, or leave eBPF out"
            )
            yield observation.node, reason


def _indistinguishable_nodes(
    observations: Sequence[Observation], requested: str, now: datetime, nodes: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The nodes on which the requested dataplane can't be distinguished from another, with the reason.

    A probe pod distinguishes iptables, nftables and BPF. Only Felix's log, in lines of level Info, shows direct server
    return.
    """
    for observation in observations:
        if observation.node not in nodes or not _logs_no_info(observation, now):
            continue
        if left := _possible(observation, requested, now):
            alike = " and ".join(sorted(left))
            reason = f"Felix's log has no lines of level Info, without which {alike} can't be distinguished: {SPEAK_UP}"
            yield observation.node, reason


def _possible(observation: Observation, requested: str, now: datetime) -> frozenset[str]:
    """The dataplanes that a node's signs agree with, if the requested one is among several; else empty."""
    found = [frozenset(s.indicates) for s in node_signs(observation, "before", now) if s.indicates]
    left = frozenset.intersection(*found) if found else frozenset()
    return left if Arm.parse(requested).name in left and len(left) > 1 else frozenset()


def unclear_nodes(
    observations: Sequence[Observation],
    requested: str,
    now: datetime,
    *,
    nodes: Sequence[str],
    changed_at: datetime | None,
    stable_s: float,
) -> list[str]:
    """The nodes where all is complete, and the dataplane can't be distinguished from another by what was observed.

    The lines of Felix's start are gone there, since its log was rotated. Arguments as for `reported_signs`.
    """
    return [
        each.node
        for each in observations
        if each.node in nodes
        and not _logs_no_info(each, now)
        and _possible(each, requested, now)
        and next(_pending(each, now, changed_at, stable_s), None) is None
    ]


def _logs_no_info(observation: Observation, now: datetime) -> bool:
    current = observation.current
    if observation.host is None or observation.host.interfaces is None:
        return False  # a later observation from there may distinguish them
    if observation.silenced is not None:
        return True
    return current is not None and current.quiet and now - current.first_at > timedelta(seconds=NOTICE_S)


def _pending(observation: Observation, now: datetime, changed_at: datetime | None, stable_s: float) -> Iterator[str]:
    """What is incomplete on a node, each as a clause."""
    current = observation.current
    host = observation.host
    if current is not None:
        yield from _unfinished(observation, current)
    elif host is None or host.interfaces is None:
        yield "it could not be observed: " + (
            "; ".join(observation.missed) or "no log and no report of a probe pod there"
        )
    if host is not None and not is_fresh(host, now):
        yield f"the last report of its probe pod is {(now - host.at).total_seconds():.0f} s old"
    if host is not None and host.felix_ready is False:
        yield "Felix reports that it is not ready"
    if host is not None and host.felix_fell_silent:
        yield "Felix answered its readiness probe before, and no longer does"
    yield from _unstable(observation, now, changed_at, stable_s)
    yield from _unanswered(observation, now)


def is_fresh(host: HostProbe | None, now: datetime) -> bool:
    """Whether a probe's look at its node still describes the present state."""
    return host is not None and now - host.at <= timedelta(seconds=FRESH_S)


def _unfinished(observation: Observation, current: FelixProcess) -> Iterator[str]:
    if (end := current.panic or current.leaving) is not None:
        yield f"Felix ended ({end.text}) and has not started again"
    elif due := current.restart_due:
        yield f"Felix has yet to restart: {due}"
    elif current.unconfigured is not None:
        yield f"Felix can't read its configuration from the API server ({current.unconfigured.text})"
    elif current.updated_at is None and current.started_at is not None and not _ready_since(observation):
        yield "Felix has not completed its first update to the dataplane"
    elif current.lost:
        yield f"Felix lost an interface: {'; '.join(mark.text for mark in current.lost.values())}"


def _started_at(observation: Observation) -> datetime | None:
    """When Felix last started, by its log or its metrics; None: before both begin."""
    current = observation.current
    reported = current.started_at if current is not None else None
    measured = observation.host.felix_started_at if observation.host is not None else None
    return max(filter(None, (reported, measured)), default=None)


def _ready_since(observation: Observation) -> bool:
    """Whether a probe saw Felix ready after its last start."""
    host = observation.host
    current = observation.current
    if host is None or current is None or not host.felix_ready:
        return False
    return current.started_at is None or host.at > current.started_at


def _unstable(observation: Observation, now: datetime, changed_at: datetime | None, stable_s: float) -> Iterator[str]:
    current = observation.current
    started_at = _started_at(observation)
    moments = {"Felix's last start": started_at}
    if current is not None and current.started_at is not None:
        moments["Felix's first update"] = current.updated_at
    latest, what = max(((at, what) for what, at in moments.items() if at is not None), default=(None, ""))
    if latest is not None and (elapsed_s := (now - latest).total_seconds()) < stable_s:
        yield f"{what} is {max(elapsed_s, 0.0):.0f} s past, and {stable_s:g} s without a restart are needed"
    if changed_at is not None and (started_at is None or started_at < changed_at - _SKEW):
        # Felix restarts only where it has to, and some time after the change: until then it may still run what it is
        # about to leave
        needed_s = max(stable_s, NOTICE_S)
        if (elapsed_s := (now - changed_at).total_seconds()) < needed_s:
            ago = f"{max(elapsed_s, 0.0):.0f} s ago"
            yield f"Felix has not restarted since the change {ago}; {needed_s:g} s are allowed"


def _unanswered(observation: Observation, now: datetime) -> Iterator[str]:
    started_at = _started_at(observation)
    if not observation.answers:
        yield "no Service was probed there"
    for answer in observation.answers:
        if answer.ok_at is None or (answer.failed_at is not None and answer.failed_at >= answer.ok_at):
            yield f"{answer.target} does not answer ({answer.error or 'it never did'})"
        elif started_at is not None and answer.ok_at <= started_at:
            yield f"{answer.target} has not answered since Felix started"
        elif now - answer.ok_at > timedelta(seconds=FRESH_S):
            yield f"{answer.target} last answered {(now - answer.ok_at).total_seconds():.0f} s ago"
        elif answer.failed_at is not None and now - answer.failed_at < timedelta(seconds=QUIET_S):
            yield f"{answer.target} answers intermittently ({answer.error or 'with failures in between'})"


def unswitched(
    observations: Sequence[Observation], now: datetime, nodes: Sequence[str], changed_at: datetime | None
) -> list[str]:
    """Why new pods might get what the last switch replaces, each as a clause with its node.

    This is less than a proof: Felix has started where it must, and has completed its first update. A Felix that lost an
    interface is not waited for, since only the proof starts it again.
    """
    lost = nodes_with_lost_interfaces(observations)
    return [
        f"{each.node}: {reason}"
        for each in observations
        if each.node in nodes
        for reason in (
            [*(() if each.node in lost else _unfinished(each, each.current)), *_unstable(each, now, changed_at, 0.0)]
            if each.current is not None
            else ["it could not be observed"]
        )
    ]


def nodes_with_lost_interfaces(observations: Sequence[Observation]) -> tuple[str, ...]:
    """The nodes where Felix is done, and takes an interface for deleted that exists, so that it carries nothing.

    Deleting the node's calico-node pod repairs that: a Felix that starts finds the interfaces that there are.
    """
    return tuple(
        each.node
        for each in observations
        if (current := each.current) is not None and current.lost and current.updated_at is not None and current.stays
    )


def nodes_without_rules(observations: Sequence[Observation], now: datetime) -> tuple[str, ...]:
    """The nodes without kube-proxy's rules: Felix is done there, and Services have not answered since.

    Felix deletes kube-proxy's rules when BPF is switched on, and a kube-proxy that kept running does not write them
    again when it is switched off. Deleting the node's kube-proxy pod repairs that.
    """
    found = []
    for observation in observations:
        current = observation.current
        if current is None or current.in_bpf is not False or not current.stays:
            continue
        host = observation.host
        if host is None or host.proxy_mode is None:
            continue  # kube-proxy does not run there yet, and writes its rules when it starts
        since = max(filter(None, (current.started_at, current.updated_at)), default=current.first_at)
        if any(
            a.failed_at is not None and now - max(filter(None, (a.ok_at, a.since, since))) > _UNANSWERED
            for a in observation.answers
        ):
            found.append(observation.node)
    return tuple(found)
