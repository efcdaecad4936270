"""Which fault strikes at which moment of a run, and the order in which these points are tried. Pure.

A step has parts, which are seen by the API: its node is there and its pod not yet; it runs; it has written an object of
the switch, or measured a trial; it has ended, and the next step has not begun.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Final, Literal, get_args

Part = Literal["created", "running", "written", "progressed", "ended"]
Means = Literal["api", "argo", "command"]

_EVERY_STEP: Final[tuple[Part, ...]] = ("running", "created", "ended")
_MORE: Final[Mapping[str, tuple[Part, ...]]] = {
    "configure": ("written",),
    "restore": ("written",),
    "measure": ("progressed",),
}
_AFTER_A_FAILURE: Final = frozenset({"retreat", "recollect"})
"""Steps that no run has unless another step has failed before."""

_LAST: Final = "notify"
_LAST_DELAY_S: Final = 1.0
"""The last step takes some seconds, after which nothing is left to strike."""

_BEFORE, _VISITS, _BETWEEN, _AFTER, _AT_EXIT = range(5)
_STAGES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("validate", "preflight", "snapshot"), _BEFORE),
    **dict.fromkeys(("configure", "settle", "measure", "scale", "clear"), _VISITS),
    "look": _BETWEEN,
    **dict.fromkeys(("collect", "report", "verdict"), _AFTER),
    **dict.fromkeys(("restore", "notify"), _AT_EXIT),
}
"""The stages of a run in their order. While a fault lasts, a run may pass the next one's moment."""

_STEPS: Final = tuple(_STAGES)
_PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""Steps and their parts in the order of a run."""

_LONGEST_DELAY_S: Final[Mapping[Part, float]] = {
    "created": 2.0,
    "running": 10.0,
    "written": 10.0,
    "progressed": 10.0,
    "ended": 2.0,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        means: by which it is made: the cluster's API, Argo's own program, or a command of the user's.
        lasts_s: for how long; 0: it is a single act.
        steps: where it applies; None: everywhere.
        needs_pod: whether it strikes a step's pod, which has gone where the step has ended.
        silences: whether the node's kubelet can't renew its Lease meanwhile, by which the effect is seen.
        ends: whether the run ends by it, so that no other fault can follow.
        retried: whether Argo's Retry begins such a run again at the step that was struck.
    """

    name: str
    means: Means = "command"
    lasts_s: float = 0.0
    steps: frozenset[str] | None = None
    needs_pod: bool = False
    silences: bool = False
    ends: bool = False
    retried: bool = False

    def strikes(self, step: str, part: Part) -> bool:
        """Whether it applies to this part of this step."""
        return (self.steps is None or step in self.steps) and not (self.needs_pod and part == "ended")


FAULTS: Final = (
    Fault("pod-deleted", "api", needs_pod=True),  # by force
    Fault("kubelet-stopped", lasts_s=90, silences=True),
    Fault("argo-stopped", "api", lasts_s=120),  # its controller is scaled to 0
    Fault("api-server-stopped", lasts_s=30),
    Fault("etcd-stopped", lasts_s=30),
    Fault("s3-away", lasts_s=60),
    # of one node, while Felix restarts
    Fault("network-cut", lasts_s=30, steps=frozenset({"configure", "settle", "restore"}), silences=True),
    Fault("terminate", "api", ends=True),
    Fault("delete", "api", ends=True),
    Fault("stop", "api", ends=True, retried=True),
    # the second time while the exit handler puts the cluster back
    Fault("stop-twice", "api", steps=frozenset({"configure", "settle", "measure", "clear"}), ends=True, retried=True),
    # and Retry, when the run has ended
    Fault("retry", "argo", ends=True),
)
BY_NAME: Final = {fault.name: fault for fault in FAULTS}


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """A step of the workflow. `in_visit`: each visit has it."""

    name: str
    in_visit: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts, the most telling first."""
        return (*_EVERY_STEP[:1], *_MORE.get(self.name, ()), *_EVERY_STEP[1:])


@dataclass(frozen=True, slots=True)
class Point:
    """One trial of the matrix. `visit`: in which visit; None: the step is outside of visits."""

    fault: str
    step: str
    part: Part
    visit: int | None
    delay_s: float

    @property
    def name(self) -> str:
        """Such as `terminate@configure.written`."""
        return f"{self.fault}@{self.step}.{self.part}"

    @property
    def stage(self) -> tuple[int, int]:
        """When a run comes to it, among the stages that may each have a point of one run."""
        return (_STAGES[self.step], self.visit or 0)

    @property
    def place(self) -> tuple[tuple[int, int], int, int]:
        """The same, with the place of its step and part in that stage."""
        return (self.stage, _STEPS.index(self.step), _PARTS.index(self.part))


def steps_of(template: Mapping[str, Any]) -> tuple[WorkflowStep, ...]:
    """The steps that a run has if nothing fails, of the WorkflowTemplate, in the template's order."""
    return tuple(
        WorkflowStep(one["name"], any(p["name"] == "visit" for p in (one.get("inputs") or {}).get("parameters") or []))
        for one in template["spec"]["templates"]
        if "script" in one and one["name"] not in _AFTER_A_FAILURE
    )


def draw(steps: Sequence[WorkflowStep], faults: Sequence[Fault], visits: int, seed: int) -> list[Point]:
    """Every point once, in an order that has each fault and each step early, and each pair of them before any twice.

    `seed`: of the order, the visits and the delays. A point's own visit and delay do not depend on the others.
    """
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    parts = {
        (fault.name, step): order.sample(usable, len(usable))
        for fault in faults
        for step in steps
        if (usable := [part for part in step.parts if fault.strikes(step.name, part)])
    }
    points: list[Point] = []
    used: Counter[str] = Counter()
    for turn in range(max((len(each) for each in parts.values()), default=0)):
        left = [pair for pair, each in parts.items() if len(each) > turn]
        order.shuffle(left)
        while left:
            choices = Counter(name for fault, step in left for name in (fault, step.name))
            fault, step = pair = min(
                left, key=lambda p: (used[p[0]] + used[p[1].name], min(choices[p[0]], choices[p[1].name]))
            )
            left.remove(pair)
            used.update((fault, step.name))
            points.append(_point(fault, step, parts[pair][turn], visits, seed))
    return points


def together(points: Iterable[Point], most: int, *, retried: bool = False) -> list[tuple[Point, ...]]:
    """The points of each run, in the order in which the run comes to them.

    `most`: the most points of a run: one in each stage of it, and the last may end it. `retried`: a run that a Stop
    ended is retried. It may be struck by several, also in one stage outside of visits: Retry repeats the step, but does
    not go on with the visit.
    """
    groups: list[list[Point]] = []
    for point in points:
        open_ = (each for each in groups if len(each) < most and _fits(point, each, retried=retried))
        if (group := next(open_, None)) is None:
            groups.append(group := [])
        group.append(point)
    return [tuple(sorted(group, key=lambda point: point.place)) for group in groups]


def _fits(point: Point, others: Sequence[Point], *, retried: bool) -> bool:
    run = sorted([*others, point], key=lambda each: each.place)
    return all(_may_follow(one, next_, retried=retried) for one, next_ in pairwise(run))


def _may_follow(point: Point, next_: Point, *, retried: bool) -> bool:
    """Whether a run that this point struck comes to the next one."""
    fault = BY_NAME[point.fault]
    goes_on = retried and fault.retried
    if fault.ends and not goes_on:
        return False
    return point.stage != next_.stage or (goes_on and point.visit is None and point.place != next_.place)


def chosen(points: Iterable[Point], only: str) -> list[Point]:
    """Those whose name fits a pattern such as `terminate@*`; all of them where it is empty."""
    return [point for point in points if not only or fnmatchcase(point.name, only)]


def _point(fault: str, step: WorkflowStep, part: Part, visits: int, seed: int) -> Point:
    own = random.Random(f"{seed} {fault}@{step.name}.{part}")  # noqa: S311 - a moment, not a secret
    visit = own.randint(1, visits) if step.in_visit else None
    longest_s = _LAST_DELAY_S if step.name == _LAST else _LONGEST_DELAY_S[part]
    return Point(fault, step.name, part, visit, round(own.uniform(0, longest_s), 1))
