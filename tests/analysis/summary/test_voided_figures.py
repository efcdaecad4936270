"""A figure that a flag voids is in no view, question, verdict, table or chart."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis import charts, flags, metrics
from analysis.charts import ChartData
from analysis.flags import FLAGS, KINDS, NODE_FIELDS, FigureKind
from analysis.sql import database
from analysis.stats import run
from analysis.store.schema import NODE_USAGE, TRIALS
from analysis.summary.run.key_metrics import key_figures
from analysis.summary.run.summary import to_json
from tests.analysis import synthetic
from tests.analysis.flagged import FULL, Change, every, opened
from tests.analysis.synthetic import summarise

COLUMNS = {kind: [name for m in metrics.METRICS if m.kind == kind for name in m.made_of] for kind in KINDS}

EVERY_TOOL = replace(FULL, cells=(*synthetic.LATENCY, ("pod-to-service", "service-added", "forward")))
POISON = 1e6


def spoilt(kind: FigureKind, *, by: float | None) -> Change:
    """Multiplies the figures of a kind in flagged trials, or takes them away."""

    def change(trial: dict[str, Any]) -> None:
        if not flags.is_voided(trial["flags"], kind):
            return
        for name in COLUMNS[kind]:
            trial[name] = multiplied(trial[name], by)
        for node in trial["nodes"] or ():
            for name in NODE_FIELDS.get(kind, ()):
                node[name] = multiplied(node[name], by)

    return change


def multiplied(value: Any, by: float | None) -> Any:  # noqa: ANN401 - a figure, or a list of them
    if by is None or value is None:
        return None
    return [each * by for each in value] if isinstance(value, list) else value * by


def answers(con: database.Connection) -> dict[str, Any]:
    """Everything that the run is turned into, as text."""
    summary = summarise(con, "run-1")
    data = ChartData(con, run.load_run(con, "run-1"), summary.comparisons, summary.changes)
    found: dict[str, Any] = {q.name: database.answer_question(con, q.name).to_pylist() for q in database.questions()}
    with charts.narrowed(con, "run-1"):
        found |= {chart.name: chart.frame(data).to_pylist() for chart in charts.catalogue()}
    directions = dict.fromkeys(synthetic.BASE_BPS, "forward")
    found |= {"summary": json.loads(to_json(summary)), "key figures": key_figures(con, summary, directions)}
    return {name: comparable(answer) for name, answer in found.items()}


def comparable(answer: Any) -> Any:  # noqa: ANN401 - whatever an answer holds
    """Sums in another order differ in the last digit."""
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [comparable(value) for value in answer]
    return f"{answer:.6g}" if isinstance(answer, float) else answer


def test_value_voided_by_a_flag_is_in_no_query(tmp_path: Path) -> None:
    """With voided figures a million times too high every answer is as if those figures were not there."""
    carried = flags_in_turn()

    def marked(trial: dict[str, Any]) -> None:
        trial["flags"] = [f"{flag}: for a reason" for flag in (carried[trial["trial"]],) if flag is not None]

    wrong = [spoilt(kind, by=POISON) for kind in KINDS]
    gone = [spoilt(kind, by=None) for kind in KINDS]
    assert answers(opened(tmp_path / "wrong", marked, *wrong, recipe=EVERY_TOOL)) == answers(
        opened(tmp_path / "gone", marked, *gone, recipe=EVERY_TOOL)
    )


def flags_in_turn() -> dict[int, str | None]:
    """By trial a flag that voids something, or none; in each cell there is one of each set of kinds that are voided."""
    by_voids: dict[frozenset[FigureKind], list[str]] = {}
    for flag in FLAGS:
        if flag.voids:
            by_voids.setdefault(flag.voids, []).append(flag.name)
    alike = [itertools.cycle(names) for names in by_voids.values()]
    turns: dict[tuple[str, ...], Iterator[Iterator[str] | None]] = {}
    found: dict[int, str | None] = {}
    for trial in synthetic.rows(EVERY_TOOL)["trials"]:
        cell = tuple(str(trial[name]) for name in ("topology", "tool", "transport", "direction"))
        names = next(turns.setdefault(cell, itertools.cycle([*alike, None])))
        found[trial["trial"]] = None if names is None else next(names)
    assert {*found.values()} == {None, *(flag.name for flag in FLAGS if flag.voids)}
    return found


def test_trials_table_keeps_flagged_values(tmp_path: Path) -> None:
    con = opened(tmp_path, every(1, "steal"))
    kept = run.query_rows(con, "select count(cpu_s_per_gbit) as n, count(nodes[1].busy_ratio) as busy from trials")
    used = run.query_rows(
        con, "select count(cpu_s_per_gbit) as n, count(nodes[1].busy_ratio) as busy from measurements"
    )
    assert (kept[0]["n"], kept[0]["busy"], used) == (72, 84, [{"n": 0, "busy": 0}])


def test_every_figure_of_a_trial_has_a_flag_kind() -> None:
    """A new column is one that flags may touch, unless it is named here as what was asked for or counted."""
    settings = {"visit", "trial", "position", "streams", "offered_bps", "repetition", "duration_s", "block_size_bytes"}
    settings |= {"mtu_bytes", "server_mtu_bytes", "services", "attempts", "foreign_cpu_ratio", "quiet_wait_s"}
    settings |= {"responses", "lost_messages", "duplicate_messages", "load_bps"}
    settings |= {"endpoints", "policies", "churn_per_s", "updates", "clock_skew_s"}
    settings |= {"programming_observed"}
    named = {name for names in COLUMNS.values() for name in names}
    assert {column.name for column in TRIALS if column.unit} - settings == named
    fields = {NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)} - {"node", "side", "cores"}
    assert fields == {name for names in NODE_FIELDS.values() for name in names}


def test_verdict_of_voided_values_names_the_flag(tmp_path: Path) -> None:
    summary = summarise(opened(tmp_path, every(1, "steal")), "run-1")
    for c in summary.of("cpu_s_per_gbit"):
        assert (c.verdict, c.value) == ("undecided", None)
        assert c.answer == "undecided: alpha has no usable visit here; 12 of 12 trials are left out (steal)"
    assert len(summary.of("cpu_s_per_gbit")) == 6
    assert all(c.estimate for c in summary.of("received_bps"))


def test_cpu_columns_flag_keeps_the_busy_ratio(tmp_path: Path) -> None:
    """The default run of version 0.1.0 had this flag on 109 of 168 trials, and said not to use their CPU figures."""
    con = opened(tmp_path, every(1, "cpu-columns"))
    summary = summarise(con, "run-1")
    assert not any(c.doubts.mark for c in summary.comparisons)
    (used,) = run.query_rows(con, "select count(busy_ratio) as busy, count(softirq_ratio) as modes from node_usage")
    assert (used["busy"], used["modes"]) == (84, 0)
    data = ChartData(con, run.load_run(con, "run-1"), summary.comparisons)
    (chart,) = (chart for chart in charts.catalogue() if chart.name == "cpu_by_mode")
    assert charts.draw_all([chart], data)[0].variants == ()
