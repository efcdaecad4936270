"""Whether a switch of Calico's dataplane is over, from what was seen on each node. Pure, and failing closed.

Neither Ready nor a rollout's status says it, and no single line of a log does either. So: no node fell back; on each
node Felix has restarted if it had to, has written the dataplane, and has held for a while; Services answer; and several
independent signs on every node agree on one dataplane, the one asked for.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.cluster.kube.calico import signs as signs_of
from steps.cluster.kube.calico.felix_log import FelixProcess
from steps.cluster.kube.calico.signs import Observation
from steps.domain import Moment, Sign
from steps.proof.wait import FOR_GOOD, WAITING, Judgement, judge

STABLE_S: Final = 45.0
"""So long a last start must be past: Felix was seen to crash after its first update, and to start twice."""

FEWEST_SIGNS: Final = 2
"""Telling signs that each node must have: any single one may be a line's accident."""

QUIET_S: Final = 5.0
"""Services must have answered without a failure for so long: in a switch, new connections fail now and then."""

FRESH_S: Final = 20.0
"""An answer, or a look at a node, older than this says nothing of now."""

NOTICE_S: Final = 20.0
"""Felix looks at kube-proxy's mode every 15 s, so a node where nothing happened may just not have noticed yet."""

SPEAK_UP: Final = """kubectl patch felixconfiguration default --type merge -p '{"spec":{"logSeverityScreen":"Info"}}'"""
"""What makes Felix say again what it does."""

_SKEW: Final = timedelta(seconds=2)
"""The nodes' clocks and the server's may differ by so much, and the server's times are whole seconds."""


def judge_switch(
    observations: Sequence[Observation],
    asked: str,
    now: datetime,
    *,
    nodes: Sequence[str] | None = None,
    changed_at: datetime | None = None,
    stable_s: float = STABLE_S,
    moment: Moment = "before",
    needs_answers: bool = True,
) -> Judgement:
    """Whether the dataplane asked for carries the traffic, may come to, or can't: what is told, judged."""
    needed = [o.node for o in observations] if nodes is None else list(nodes)
    found = reported_signs(
        observations,
        asked,
        now,
        nodes=needed,
        changed_at=changed_at,
        stable_s=stable_s,
        moment=moment,
        needs_answers=needs_answers,
    )
    return judge(found, asked, needed)


def reported_signs(
    observations: Sequence[Observation],
    asked: str,
    now: datetime,
    *,
    nodes: Sequence[str],
    changed_at: datetime | None = None,
    stable_s: float = STABLE_S,
    moment: Moment = "before",
    needs_answers: bool = True,
) -> list[Sign]:
    """All signs of one look, so that a judgement of signs that knows nothing of Calico is the judgement of the switch.

    Args:
        observations: one look at each node that Calico manages.
        asked: the visit's arm. It makes no sign of what runs, and decides only whether a fallback matters.
        now: of the same clock as the observations' times.
        nodes: those that must be proven. A fallback counts wherever it is.
        changed_at: when the last change of the switch was made; None: nothing was changed.
        stable_s: how long the last start, update or change must be past.
        moment: for the signs.
        needs_answers: whether Services must have been seen to answer.
    """
    waits = unsettled(
        observations,
        now,
        nodes=nodes,
        changed_at=changed_at,
        stable_s=stable_s,
        moment=moment,
        needs_answers=needs_answers,
    )
    lost = [
        Sign(moment=moment, node=node, looked_at=FOR_GOOD, seen=reason, at=now, indicates=())
        for node, reason in [
            *fallen_back(observations, asked),
            *indistinguishable_nodes(observations, asked, now, nodes),
        ]
    ]
    return [*evidence(observations, moment, now), *waits, *lost]


def unsettled(
    observations: Sequence[Observation],
    now: datetime,
    *,
    nodes: Sequence[str],
    changed_at: datetime | None,
    stable_s: float = STABLE_S,
    moment: Moment = "before",
    needs_answers: bool = True,
) -> list[Sign]:
    """What speaks against the switch's being over, as signs that agree with no dataplane.

    So a weighing of signs that knows nothing of Calico can't take for proven what has yet to hold.
    """
    by_node = {o.node: o for o in observations}
    found: list[Sign] = []
    for node in nodes:
        if node not in by_node:
            reasons = ["it was not looked at"]
        else:
            reasons = list(pending(by_node[node], now, changed_at, stable_s, needs_answers=needs_answers))
            telling = [s for s in signs_of.node_signs(by_node[node], moment, now) if s.indicates is not None]
            if len({(s.looked_at, s.seen) for s in telling}) < FEWEST_SIGNS:
                reasons.append(f"it shows {len(telling)} telling signs, and {FEWEST_SIGNS} are needed")
        found += [
            Sign(moment=moment, node=node, looked_at=WAITING, seen=reason, at=now, indicates=()) for reason in reasons
        ]
    return found


def evidence(observations: Sequence[Observation], moment: Moment, now: datetime) -> list[Sign]:
    """The signs of one look at all nodes."""
    return [sign for observation in observations for sign in signs_of.node_signs(observation, moment, now)]


def fallen_back(observations: Sequence[Observation], asked: str) -> list[tuple[str, str]]:
    """The nodes that have gone on without BPF where it is asked for, and why."""
    entry = BY_NAME.get(Arm.parse(asked).name)
    if entry is None or not entry.bpf:
        return []
    found = []
    for observation in observations:
        current = observation.felix.current if observation.felix is not None else None
        if current is not None and current.fallback is not None and not current.gone:
            reason = (
                f"Felix fell back from BPF ({current.fallback.text}); nodes that differ can't reach each other: "
                "upgrade that node's kernel to 5.10 or newer, or leave eBPF out"
            )
            found.append((observation.node, reason))
    return found


def indistinguishable_nodes(
    observations: Sequence[Observation], asked: str, now: datetime, nodes: Sequence[str]
) -> list[tuple[str, str]]:
    """The nodes on which the dataplane asked for can never be told from another, and why.

    A look from a pod on the node tells iptables from nftables, and both from BPF; with direct server return or without
    is in Felix's log alone, and there only in lines of level Info.
    """
    found = []
    for observation in observations:
        if observation.node not in nodes or not _hushed(observation, now):
            continue
        possible = [frozenset(s.indicates) for s in signs_of.node_signs(observation, "before", now) if s.indicates]
        left = frozenset.intersection(*possible) if possible else frozenset()
        if Arm.parse(asked).name in left and len(left) > 1:
            reported = " and ".join(sorted(left))
            reason = f"Felix's log has no lines of level Info, without which {reported} can't be told apart: {SPEAK_UP}"
            found.append((observation.node, reason))
    return found


def _hushed(observation: Observation, now: datetime) -> bool:
    current = observation.felix.current if observation.felix is not None else None
    if observation.host is None or observation.host.interfaces is None:
        return False  # a look from there may yet tell
    if observation.silenced is not None:
        return True
    return current is not None and current.quiet and now - current.first_at > timedelta(seconds=NOTICE_S)


def pending(
    observation: Observation,
    now: datetime,
    changed_at: datetime | None,
    stable_s: float,
    *,
    needs_answers: bool,
) -> Iterator[str]:
    """What a node has yet to do or to show, each as a clause."""
    current = observation.felix.current if observation.felix is not None else None
    host = observation.host
    if current is not None:
        yield from _unfinished(observation, current)
    elif host is None or host.interfaces is None:
        yield "nothing of it could be seen: " + ("; ".join(observation.missed) or "no log and no look from a pod there")
    if host is not None and now - host.at > timedelta(seconds=FRESH_S):
        yield f"the last look from a pod there is {(now - host.at).total_seconds():.0f} s old"
    if host is not None and host.felix_ready is False:
        yield "Felix says that it is not ready"
    if host is not None and host.felix_fell_silent:
        yield "Felix answered whether it is ready, and answers no more"
    yield from _unstable(observation, now, changed_at, stable_s)
    if needs_answers:
        yield from _unanswered(observation, now)


def _unfinished(observation: Observation, current: FelixProcess) -> Iterator[str]:
    if (end := current.panic or current.leaving) is not None:
        yield f"Felix ended ({end.text}) and has not started again"
    elif due := current.restart_due:
        yield f"Felix has yet to restart: {due}"
    elif current.updated_at is None and current.started_at is not None and not _ready_since(observation):
        yield "Felix has not completed its first update to the dataplane"


def _started_at(observation: Observation) -> datetime | None:
    """When Felix last started, by its log or by its metrics; None: it is longer ago than either tells."""
    current = observation.felix.current if observation.felix is not None else None
    reported = current.started_at if current is not None else None
    measured = observation.host.felix_started_at if observation.host is not None else None
    return max(filter(None, (reported, measured)), default=None)


def _ready_since(observation: Observation) -> bool:
    """Whether Felix itself was seen ready by a look from outside its log, later than it started."""
    host = observation.host
    current = observation.felix.current if observation.felix is not None else None
    if host is None or current is None or not host.felix_ready:
        return False
    return current.started_at is None or host.at > current.started_at


def _unstable(observation: Observation, now: datetime, changed_at: datetime | None, stable_s: float) -> Iterator[str]:
    current = observation.felix.current if observation.felix is not None else None
    started_at = _started_at(observation)
    moments = {"Felix's last start": started_at}
    if current is not None and current.started_at is not None:
        moments["Felix's first update"] = current.updated_at
    latest, what = max(((at, what) for what, at in moments.items() if at is not None), default=(None, ""))
    if latest is not None and (held_s := (now - latest).total_seconds()) < stable_s:
        yield f"{what} is {max(held_s, 0.0):.0f} s past, and {stable_s:g} s without a restart are needed"
    if changed_at is not None and (started_at is None or started_at < changed_at - _SKEW):
        # Where nothing has to be done Felix doesn't restart, and says nothing; where it has to, it takes its time. That
        # it already runs what was asked for is no reason not to wait: it may be about to leave it.
        needed_s = max(stable_s, NOTICE_S)
        if (held_s := (now - changed_at).total_seconds()) < needed_s:
            yield f"Felix has not restarted since the change {max(held_s, 0.0):.0f} s ago; {needed_s:g} s are allowed"


def _unanswered(observation: Observation, now: datetime) -> Iterator[str]:
    started_at = _started_at(observation)
    if not observation.answers:
        yield "no Service address was tried there"
    for answer in observation.answers:
        if answer.ok_at is None or (answer.failed_at is not None and answer.failed_at >= answer.ok_at):
            yield f"{answer.target} does not answer ({answer.error or 'it never has'})"
        elif started_at is not None and answer.ok_at <= started_at:
            yield f"{answer.target} has not been seen to answer since Felix started"
        elif now - answer.ok_at > timedelta(seconds=FRESH_S):
            yield f"{answer.target} was last seen to answer {(now - answer.ok_at).total_seconds():.0f} s ago"
        elif answer.failed_at is not None and now - answer.failed_at < timedelta(seconds=QUIET_S):
            yield f"{answer.target} answers now and then ({answer.error or 'failing in between'})"


def nodes_without_rules(
    observations: Sequence[Observation], now: datetime, patience_s: float = 15.0
) -> tuple[str, ...]:
    """The nodes that kube-proxy has left without rules: Felix is done there, and Services have not answered since.

    Felix deletes kube-proxy's rules when BPF comes on; a kube-proxy that runs through it doesn't notice when BPF goes.
    The cure is to delete the node's kube-proxy pod.
    """
    found = []
    for observation in observations:
        current = observation.felix.current if observation.felix is not None else None
        if current is None or current.in_bpf is not False or current.gone or current.restart_due is not None:
            continue
        host = observation.host
        if host is None or host.proxy_mode is None:
            continue  # kube-proxy isn't there, or not yet: it writes its rules when it comes
        since = max(filter(None, (current.started_at, current.updated_at)), default=current.first_at)
        late = timedelta(seconds=patience_s)
        dead = [
            a
            for a in observation.answers
            if a.failed_at is not None and now - max(filter(None, (a.ok_at, a.since, since))) > late
        ]
        if dead:
            found.append(observation.node)
    return tuple(found)
