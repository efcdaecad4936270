"""Made-up comparisons and the run that they are of, for tests of what is said about them."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from analysis.domain import Cell, StoredVariant
from analysis.flags import FlagEffect
from analysis.metrics import BY_NAME
from analysis.stats.arms import RunArm
from analysis.stats.path_metric import path_metric_fields
from analysis.stats.run import RecordedPath, StoredRun
from analysis.stats.verdicts.comparison import Comparison, Verdict
from analysis.summary.answer.answer import Answer, MeasuredAmounts, make_answer

MARGIN = 0.1

TCP = Cell("pod-to-service", "iperf3", "tcp", "forward")
UDP = Cell("pod-to-service", "iperf3", "udp", "forward")
POD = Cell("pod-to-pod", "iperf3", "tcp", "forward")
OUTSIDE = Cell("external-to-nodeport", "iperf3", "tcp", "reverse")
CONNECT = Cell("pod-to-service", "tcp_connect", "tcp", "forward")
HOST = Cell("node-to-node", "iperf3", "tcp", "forward")

FLAGGED = FlagEffect(4, flagged=1, flags=("steal",))


def compared(
    values: Mapping[str, float | None],
    half: float = 0.02,
    cell: Cell = TCP,
    metric: str = "received_bps",
    halves: Mapping[frozenset[str], float] | None = None,
    flagged: Iterable[str] = (),
) -> list[Comparison]:
    """Every comparison between dataplanes, the first being the baseline.

    Args:
        values: dataplane -> its figure; None: it was not measured.
        half: the half-width of each interval, of logarithms.
        cell: where it was measured.
        metric: by what.
        halves: the half-widths of some.
        flagged: the dataplanes with flagged trials.
    """
    found = []
    marks = dict.fromkeys(flagged, FLAGGED)
    for baseline, other in itertools.combinations(values, 2):
        fields = path_metric_fields(BY_NAME[metric], cell, " ".join(cell.unscaled))
        one, two = values[baseline], values[other]
        doubts = {key: marks[name] for key, name in (("baseline_doubt", baseline), ("doubt", other)) if name in marks}
        fields |= {"baseline": baseline, "dataplane": other, "rounds": 4, "margin_ratio": MARGIN}
        fields |= {"against_baseline": baseline == next(iter(values)), "baseline_value": one, "value": two} | doubts
        if one is None or two is None:
            found.append(Comparison(**fields, verdict="undecided", reason=f"{other} has no measured visit here"))
            continue
        estimate, width = math.log(two / one), (halves or {}).get(frozenset({baseline, other}), half)
        low, high = estimate - width, estimate + width
        inside = -math.log1p(MARGIN) < low and high < math.log1p(MARGIN)
        verdict: Verdict = "higher" if low > 0 else "lower" if high < 0 else "same" if inside else "undecided"
        fields |= {"change": math.expm1(estimate), "low": math.expm1(low), "high": math.expm1(high)}
        found.append(Comparison(**fields, verdict=verdict, within_margin=inside))
    return found


def run_of(
    titles: Mapping[str, str], cells: Sequence[Cell] = (TCP,), parameters: Mapping[str, object] | None = None
) -> StoredRun:
    """A run with these dataplanes and cells."""
    names = {"tcp": "TCP", "udp": "UDP"}
    return StoredRun(
        run_id="run-1",
        environment="prod",
        started_at=None,
        trigger="local",
        seed=7,
        parameters={"rounds": 4, **(parameters or {})},
        provenance={},
        arms=tuple(RunArm(name, title, "#000000") for name, title in titles.items()),
        skipped=(),
        cells=tuple(cells),
        variants={
            cell.measured_by: StoredVariant("connect", title="new connections")
            if cell.tool == "tcp_connect"
            else StoredVariant(cell.transport, title=names[cell.transport])
            for cell in cells
        },
        paths={
            "pod-to-service": RecordedPath("in-cluster Service", host_network=False),
            "node-to-node": RecordedPath("host network", host_network=True),
        },
    )


def answer_of(about: StoredRun, comparisons: Sequence[Comparison], trials: int = 12) -> Answer:
    """The answer of a run of four rounds and twelve minutes."""
    return make_answer(about, comparisons, (), MeasuredAmounts(trials, 4, 720.0, ""))
