"""The flags of a trial, and their effects on its figures in every view, verdict, table and chart.

A flag that *voids* a kind of figure removes it: it is null in the view `measurements`, the source of everything else,
and each mean counts the trials left out. A flag that *marks* it keeps it, with a mark beside every result that it
enters. The table `trials` has all figures as measured. An unknown flag marks everything.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

FigureKind = Literal[
    "throughput", "loss", "connect", "cpu", "cpu_modes", "memory", "return_path", "response", "tail", "programming"
]
"""Kinds of figures; a flag affects all figures of a kind alike."""

KINDS: Final[tuple[FigureKind, ...]] = get_args(FigureKind)

NODE_FIELDS: Final[Mapping[FigureKind, tuple[str, ...]]] = {
    "cpu": ("busy_ratio", "busy_above_idle_ratio"),
    "cpu_modes": (
        *(f"{mode}_ratio" for mode in ("user", "nice", "system", "iowait", "irq", "softirq", "steal", "idle")),
        "softirq_by_core_ratio",
        "steal_by_core_ratio",
    ),
    "memory": ("memory_used_bytes",),
}
"""The figures of each item of `trials.nodes` by kind."""

MARKED: Final = "†"
"""The mark of a figure that includes flagged trials, or from which some were left out."""

VOID: Final = "‡"
"""The mark of a figure of one trial that is used nowhere."""

LEGEND: Final = f"{MARKED} flagged trials are in this figure or were left out of it; see the flags."

_TRAFFIC: Final[frozenset[FigureKind]] = frozenset(
    {"throughput", "loss", "connect", "cpu", "return_path", "response", "tail", "programming"}
)


@dataclass(frozen=True, slots=True)
class Flag:
    """A reason for doubt about a trial: name, meaning, and the kinds of figures it voids and marks."""

    name: str
    meaning: str
    voids: frozenset[FigureKind] = frozenset()
    marks: frozenset[FigureKind] = frozenset()


REPEATED: Final = "repeated"
REFERENCE_OFF: Final = "reference-off"

FLAGS: Final = (
    Flag(
        REPEATED,
        "the host-network reference of its visit was off those of the dataplane's other visits, so the visit was "
        "repeated; the repeat's figure counts, and this one is left out",
        voids=frozenset(KINDS),
    ),
    Flag(
        REFERENCE_OFF,
        "the host-network reference of its visit was off those of the dataplane's other visits, and no repeat of it "
        "was measured",
        marks=frozenset(KINDS),
    ),
    Flag(
        "foreign-cpu",
        "other programs used the machine or a node while it was measured; throughput may be low; in the lab what they "
        "used of the CPU is subtracted",
        marks=_TRAFFIC | {"memory", "cpu_modes"},
    ),
    Flag(
        "foreign-cpu-unknown",
        "what other programs used of the machine or a node while it was measured is not known",
        marks=_TRAFFIC | {"memory", "cpu_modes"},
    ),
    Flag(
        "steal",
        "the hypervisor took CPU time away while it was measured; the figure may be low, and its CPU figures, which "
        "would count that time as used, are left out",
        voids=frozenset({"cpu", "cpu_modes"}),
        marks=_TRAFFIC - {"cpu"},
    ),
    Flag(
        "cpu-idle",
        "the kernel's idle time does not fit the wall time, in its window or in the idle one before it; its CPU "
        "figures are left out",
        voids=frozenset({"cpu", "cpu_modes"}),
    ),
    Flag(
        "cpu-columns",
        "the kernel's CPU columns do not add up to the wall time, so what the CPU was busy with is left out; how busy "
        "it was comes from idle time and stays",
        voids=frozenset({"cpu_modes"}),
    ),
    Flag(
        "cpu-udp",
        "with UDP the kernel's accounts and the calibration of `make bench-cpu` lie 4 to 9 points of the machine "
        "apart, and up to 20 at a limited rate; rest no decision on its CPU figures",
        marks=frozenset({"cpu", "cpu_modes"}),
    ),
    Flag(
        "cpu-unknown",
        "the readings of a node's CPU can't be compared, so there is no CPU figure",
        voids=frozenset({"cpu", "cpu_modes"}),
    ),
    Flag(
        "monitor-lost",
        "a node's counters could not be read, so its CPU and memory are missing; the reason is in the trial's row",
        marks=frozenset({"cpu", "cpu_modes", "memory"}),
    ),
    Flag(
        "connect-errors",
        "some connections failed; the times are of those that opened",
        marks=frozenset({"connect", "tail"}),
    ),
    Flag(
        "udp-counters",
        "iperf3 miscounted losses; they are reckoned from the bytes at both ends",
        marks=frozenset({"loss"}),
    ),
    Flag(
        "duplicate-packets",
        "datagrams arrived twice or too late, so losses are unknown",
        marks=frozenset({"loss"}),
    ),
    Flag(
        "long-receiver",
        "the receiver counted for longer than planned; the figure may be low",
        marks=frozenset({"throughput", "loss", "cpu", "return_path"}),
    ),
    Flag(
        "received-reckoned",
        "this version of iperf3 does not report what arrived; it is reckoned from the datagrams that the receiver "
        "counted, less those lost, which may include those of the warm-up",
        marks=frozenset({"throughput", "loss", "cpu"}),
    ),
    Flag(
        "cpu-window",
        "the tool that measured it read CPU and memory over another time than the trial's, and they may be lower",
        marks=frozenset({"cpu", "cpu_modes", "memory"}),
    ),
    Flag(
        "uneven-streams",
        "one stream delivered under a tenth of what the others did; the sum hides it",
        marks=frozenset({"throughput", "loss", "cpu", "return_path"}),
    ),
    Flag(
        "sender-limited",
        "the sender could not offer a rate at which more than the bound is lost, so the path may carry more",
        marks=frozenset({"loss"}),
    ),
    Flag(
        "ladder-open",
        "the ladder's time was over before its rate was found to 20 % and confirmed",
        marks=frozenset({"loss"}),
    ),
    Flag(
        "not-through-the-node-port",
        "the traffic did not take the way that the path is named for",
        marks=_TRAFFIC,
    ),
    Flag(
        "udp-fragments",
        "datagrams were larger than the MTU, so each crossed the network in fragments",
        marks=_TRAFFIC,
    ),
    Flag(
        "few-observations",
        "the trial has too few observations for a percentile, which takes 1,000 for the 99.9th and 100 for the 99th; "
        "it is left out",
        voids=frozenset({"tail"}),
    ),
    Flag(
        "changes-failed",
        "some changes were made and never worked; the times are of those that did, and the slowest is unknown",
        voids=frozenset({"tail"}),
        marks=frozenset({"programming"}),
    ),
    Flag(
        "unanswered",
        "a request was not answered before the trial's end, which sockperf waits for and does not count; the slowest "
        "response is unknown and the tail is left out",
        voids=frozenset({"tail"}),
        marks=frozenset({"response"}),
    ),
    Flag(
        "lost-messages",
        "requests or responses were lost or overtook each other; the times are of the others",
        marks=frozenset({"response", "tail"}),
    ),
    Flag(
        "duplicate-messages",
        "responses came twice, after which sockperf has several requests under way at once; its times are left out",
        voids=frozenset({"response", "tail"}),
    ),
    Flag(
        "clock-source",
        "the kernel does not keep its time by the CPU's counter, which sockperf reads, so its times may be off",
        marks=frozenset({"response", "tail"}),
    ),
    Flag(
        "load-off",
        "the load was over 10 points off the one that was asked for, or began too late; `load_ratio` has what arrived",
        marks=frozenset({"response", "tail"}),
    ),
)

BY_NAME: Final = {flag.name: flag for flag in FLAGS}


def name_of(flag: str) -> str:
    """The name of a stored flag, which may have a reason: `monitor-lost: the monitor does not answer`."""
    return flag.partition(":")[0]


def meaning_of(flag: str) -> str:
    """The meaning of a flag."""
    known = BY_NAME.get(name_of(flag))
    return known.meaning if known else "see the trial's row"


def is_voided(flags: Iterable[str] | None, kind: FigureKind) -> bool:
    """Whether one of these flags voids figures of this kind."""
    return any(kind in known.voids for flag in flags or () if (known := BY_NAME.get(name_of(flag))))


def is_marked(flags: Iterable[str] | None, kind: FigureKind) -> bool:
    """Whether one of these flags marks figures of this kind; an unknown flag does."""
    return any((known := BY_NAME.get(name_of(flag))) is None or kind in known.marks for flag in flags or ())


@dataclass(frozen=True, slots=True)
class FlagEffect:
    """The effect of flags on a figure of so many trials, including those left out.

    `flagged`: how many have a flag that marks the figure, and are in it. `left_out`: how many have one that voids it,
    and are not. `flags`: the names of those flags.
    """

    trials: int = 0
    flagged: int = 0
    left_out: int = 0
    flags: tuple[str, ...] = ()

    def __add__(self, other: "FlagEffect") -> "FlagEffect":
        trials, flagged, left_out = (getattr(self, n) + getattr(other, n) for n in ("trials", "flagged", "left_out"))
        return FlagEffect(trials, flagged, left_out, tuple(sorted({*self.flags, *other.flags})))

    @property
    def mark(self) -> str:
        """The mark beside the figure; empty where no flag affects it."""
        return MARKED if self.flagged or self.left_out else ""

    @property
    def sentence(self) -> str:
        """The effect in words; empty without one: `3 of 24 trials are flagged (foreign-cpu)`."""
        parts = [f"{self.flagged} of {self.trials} trials are flagged"] if self.flagged else []
        if self.left_out:
            parts.append(f"{self.left_out} of {self.trials} trials are left out")
        return f"{' and '.join(parts)} ({', '.join(self.flags)})" if parts else ""


NO_DOUBT: Final = FlagEffect()


def flag_effect(of_trials: Iterable[tuple[Collection[str] | None, int]], kind: FigureKind) -> FlagEffect:
    """The effect on a figure of this kind of trials of which so many each have exactly these flags."""
    found = NO_DOUBT
    for flags, count in of_trials:
        out, marked = is_voided(flags, kind), is_marked(flags, kind)
        names = {name_of(f) for f in flags or () if is_voided((f,), kind) or is_marked((f,), kind)}
        found += FlagEffect(count, count if marked and not out else 0, count if out else 0, tuple(sorted(names)))
    return found
