"""Whether a switch of Calico's dataplane is complete, from observations of each node. Pure.

Neither Ready nor a rollout's status nor a single log line is sufficient. A switch is complete when no node fell back;
Felix on each node has restarted if necessary, has written the dataplane, and has run stably for a while; Services
answer; and several independent signs on every node agree on the requested dataplane.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.cluster.kube.plugins.calico.felix.process import FelixProcess
from steps.cluster.kube.plugins.calico.proof.signs import Observation, node_signs
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


@dataclass(frozen=True, slots=True)
class Readiness:
    """One observation of the nodes, by which the switch is judged.

    Attributes:
        observations: of each node that Calico manages.
        requested: the visit's arm; it decides only whether a fallback matters.
        now: by the same clock as the observations' times.
        nodes: those that must be proven. A fallback counts on any node.
        changed_at: the last change of the switch; None: nothing was changed.
        stable_s: the time that must have passed since the last start, update or change.
    """

    observations: Sequence[Observation]
    requested: str
    now: datetime
    nodes: Sequence[str]
    changed_at: datetime | None = None
    stable_s: float = STABLE_S

    def signs(self, moment: Moment = "before", unprobed: Sequence[str] = ()) -> list[Sign]:
        """All signs, for a judgement that knows nothing of Calico.

        What is incomplete, and what can't be proven any more, are signs that agree with no dataplane.

        `unprobed`: nodes without a probe pod. Each is complete unless Felix's log there shows that it is not.
        """
        contrary = [
            *((WAITING, *each) for each in self._incomplete()),
            *(
                (WAITING, each.node, reason)
                for each in self.observations
                if each.node in unprobed and each.current is not None
                for reason in _unfinished(each, each.current)
            ),
            *((FOR_GOOD, *each) for each in self._fallen_back()),
            *((FOR_GOOD, *each) for each in self._indistinguishable()),
        ]
        return [
            *(sign for observation in self.observations for sign in node_signs(observation, moment, self.now)),
            *(
                Sign(moment=moment, node=node, looked_at=what, seen=reason, at=self.now, indicates=())
                for what, node, reason in contrary
            ),
        ]

    def unclear_nodes(self) -> list[str]:
        """The nodes where all is complete, and the dataplane can't be distinguished from another by what was observed.

        The lines of Felix's start are gone there, since its log was rotated.
        """
        return [
            each.node
            for each in self.observations
            if each.node in self.nodes
            and not self._logs_no_info(each)
            and self._possible(each)
            and next(self._pending(each), None) is None
        ]

    def unswitched(self) -> list[str]:
        """Why new pods might get what the last switch replaces, each as a clause with its node.

        This is less than a proof: Felix has started where it must, and has completed its first update. A Felix that
        lost an interface is not waited for, since only the proof starts it again.
        """
        lost = nodes_with_lost_interfaces(self.observations)
        return [
            f"{each.node}: {reason}"
            for each in self.observations
            if each.node in self.nodes
            for reason in (
                [*(() if each.node in lost else _unfinished(each, each.current)), *self._unstable(each)]
                if each.current is not None
                else ["it could not be observed"]
            )
        ]

    def _incomplete(self) -> Iterator[tuple[str, str]]:
        """The nodes on which the switch is incomplete, with each reason."""
        by_node = {observation.node: observation for observation in self.observations}
        for node in self.nodes:
            if node not in by_node:
                yield node, "it was not observed"
                continue
            for reason in self._pending(by_node[node]):
                yield node, reason
            conclusive = [sign for sign in node_signs(by_node[node], "before", self.now) if sign.indicates is not None]
            if len({(sign.looked_at, sign.seen) for sign in conclusive}) < FEWEST_SIGNS:
                yield node, f"it shows {len(conclusive)} conclusive signs, and {FEWEST_SIGNS} are needed"

    def _fallen_back(self) -> Iterator[tuple[str, str]]:
        """The nodes that run without BPF though it is requested, with the reason."""
        entry = BY_NAME.get(Arm.parse(self.requested).name)
        if entry is None or not entry.bpf:
            return
        for observation in self.observations:
            current = observation.current
            if current is not None and current.fallback is not None and not current.gone:
                reason = (
                    f"Felix fell back from BPF ({current.fallback.text}); nodes that differ can't reach each other: "
                    "upgrade that node's kernel to 5.10 or newer, or leave eBPF out"
                )
                yield observation.node, reason

    def _indistinguishable(self) -> Iterator[tuple[str, str]]:
        """The nodes on which the requested dataplane can't be distinguished from another, with the reason.

        A probe pod distinguishes iptables, nftables and BPF. Only Felix's log, in lines of level Info, shows direct
        server return.
        """
        for observation in self.observations:
            if observation.node not in self.nodes or not self._logs_no_info(observation):
                continue
            if left := self._possible(observation):
                alike = " and ".join(sorted(left))
                why = (
                    f"Felix's log has no lines of level Info, without which {alike} can't be distinguished: {SPEAK_UP}"
                )
                yield observation.node, why

    def _possible(self, observation: Observation) -> frozenset[str]:
        """The dataplanes that a node's signs agree with, if the requested one is among several; else empty."""
        found = [frozenset(s.indicates) for s in node_signs(observation, "before", self.now) if s.indicates]
        left = frozenset.intersection(*found) if found else frozenset()
        return left if Arm.parse(self.requested).name in left and len(left) > 1 else frozenset()

    def _logs_no_info(self, observation: Observation) -> bool:
        current = observation.current
        if observation.host is None or observation.host.interfaces is None:
            return False  # a later observation from there may distinguish them
        if observation.silenced is not None:
            return True
        return current is not None and current.quiet and self.now - current.first_at > timedelta(seconds=NOTICE_S)

    def _pending(self, observation: Observation) -> Iterator[str]:
        """What is incomplete on a node, each as a clause."""
        current, host = observation.current, observation.host
        if current is not None:
            yield from _unfinished(observation, current)
        elif host is None or host.interfaces is None:
            missed = "; ".join(observation.missed) or "no log and no report of a probe pod there"
            yield f"it could not be observed: {missed}"
        if host is not None and not is_fresh(host, self.now):
            yield f"the last report of its probe pod is {(self.now - host.at).total_seconds():.0f} s old"
        if host is not None and host.agent_ready is False:
            yield "Felix reports that it is not ready"
        if host is not None and host.agent_fell_silent:
            yield "Felix answered its readiness probe before, and no longer does"
        yield from self._unstable(observation)
        yield from _unanswered(observation, self.now)

    def _unstable(self, observation: Observation) -> Iterator[str]:
        current = observation.current
        started_at = _started_at(observation)
        moments = {"Felix's last start": started_at}
        if current is not None and current.started_at is not None:
            moments["Felix's first update"] = current.updated_at
        latest, what = max(((at, what) for what, at in moments.items() if at is not None), default=(None, ""))
        if latest is not None and (elapsed_s := (self.now - latest).total_seconds()) < self.stable_s:
            yield f"{what} is {max(elapsed_s, 0.0):.0f} s past, and {self.stable_s:g} s without a restart are needed"
        if self.changed_at is not None and (started_at is None or started_at < self.changed_at - _SKEW):
            # Felix restarts only where it has to, and some time after the change: until then it may still run what it
            # is about to leave
            needed_s = max(self.stable_s, NOTICE_S)
            if (elapsed_s := (self.now - self.changed_at).total_seconds()) < needed_s:
                ago = f"{max(elapsed_s, 0.0):.0f} s ago"
                yield f"Felix has not restarted since the change {ago}; {needed_s:g} s are allowed"


def is_fresh(host: HostProbe | None, now: datetime) -> bool:
    """Whether a probe's look at its node still describes the present state."""
    return host is not None and now - host.at <= timedelta(seconds=FRESH_S)


def _unfinished(observation: Observation, current: FelixProcess) -> Iterator[str]:
    """What Felix on a node has left to do by its log, as a clause."""
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
    measured = observation.host.agent_started_at if observation.host is not None else None
    return max(filter(None, (reported, measured)), default=None)


def _ready_since(observation: Observation) -> bool:
    """Whether a probe saw Felix ready after its last start."""
    host = observation.host
    current = observation.current
    if host is None or current is None or not host.agent_ready:
        return False
    return current.started_at is None or host.at > current.started_at


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
