"""The status of the steps of many series, and their texts."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.metrics import BY_NAME, COMPARED
from analysis.metrics.metric import ComparedMetric
from analysis.stats.change_points.step_search import RECENT
from analysis.stats.nights.nightly import Night, Series
from analysis.stats.nights.regressions import ChangeStatus, LevelChange, baseline_changes, find_changes
from analysis.summary.figures import change_groups

CELL = Cell("pod-to-service", "iperf3", "tcp", "forward")
THROUGHPUT = BY_NAME["received_bps"]
COUNT = 40


def series(
    values: Sequence[float], metric: ComparedMetric = THROUGHPUT, dataplane: str = "ebpf", against: str | None = None
) -> Series:
    began = datetime(2026, 11, 1, 22, tzinfo=UTC)
    nights = tuple(Night(f"run-{n}", began + timedelta(days=n), value) for n, value in enumerate(values))
    return Series(metric, CELL, "pod-to-service tcp", dataplane, against, nights)


def level(seed: int, shift: float = 0.0, since: int = COUNT, until: int = COUNT, noise: float = 0.01) -> list[float]:
    """Nights at 1 Gbit/s by their logarithm, shifted from one night until another."""
    values = np.random.default_rng(seed).normal(math.log(1e9), noise, COUNT)
    values[since:until] += shift
    return [float(value) for value in values]


def line(change: LevelChange) -> str:
    """The line that the terminal shows."""
    (group,) = change_groups.group_changes([change])
    return group.line


def only(found: Sequence[LevelChange]) -> LevelChange:
    (change,) = found
    return change


@pytest.mark.parametrize("metric", [m for m in COMPARED if m.scale == "ratio"], ids=lambda m: m.name)
@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_direction_of_a_regression_depends_on_the_metric(metric: ComparedMetric, factor: float) -> None:
    change = only(find_changes([series(level(1, math.log(factor), 35), metric)]).changes)
    assert change.gain == ((factor > 1) == (metric.better == "higher"))
    assert change.status == ("improvement" if change.gain else "regression")
    assert change.low < factor - 1 < change.high
    assert (change.run_id, change.nights_since, change.nights_after) == ("run-35", 5, 5)


def test_change_line_names_path_dataplane_size_and_night() -> None:
    change = only(find_changes([series(level(2, math.log(0.88), 36))]).changes)
    assert re.fullmatch(
        r"ebpf, since the night of 2026-12-07 \(run run-36\): "
        r"pod-to-service tcp −1[123] % \[−1[345], −(9\.\d|1[01])\], "
        r"(1\.00|0\.99\d|1\.01) → 0\.8\d\d? Gbit/s",
        line(change),
    ), line(change)
    ratio = only(
        find_changes([series([v - math.log(1e9) + 0.5 for v in level(2, -0.13, 36)], against="iptables")]).changes
    )
    assert "pod-to-service tcp against iptables −12 %" in line(ratio)
    assert re.search(r"\+6\d % → \+4\d %$", line(ratio))


def test_loss_change_and_limit_are_percentage_points() -> None:
    loss = BY_NAME["loss_ratio"]
    noise = [v - math.log(1e9) for v in level(3, noise=0.004)]
    grown = only(
        find_changes([series([0.02 + v + (0.08 if n >= 36 else 0) for n, v in enumerate(noise)], loss)]).changes
    )
    assert (grown.status, grown.scale) == ("regression", "points")
    assert grown.change == pytest.approx(0.08, abs=0.01)
    assert "points [" in grown.estimate
    small = only(
        find_changes([series([0.02 + v + (0.03 if n >= 36 else 0) for n, v in enumerate(noise)], loss)]).changes
    )
    assert small.status == "small"


@pytest.mark.parametrize(("limit", "status"), [(0.05, "regression"), (0.2, "small")])
def test_regression_limit_separates_regression_from_change(limit: float, status: str) -> None:
    assert only(find_changes([series(level(4, math.log(0.88), 35))], limit).changes).status == status


@pytest.mark.parametrize(("since", "status"), [(COUNT - RECENT, "regression"), (COUNT - RECENT - 1, "standing")])
def test_regression_is_news_for_seven_nights(since: int, status: str) -> None:
    assert only(find_changes([series(level(5, math.log(0.8), since))]).changes).status == status


def test_past_and_recovered_changes_have_their_status() -> None:
    down, up = find_changes([series(level(6, math.log(0.8), 20, 34))]).changes
    assert (down.status, down.run_id) == ("past", "run-20")
    assert (up.status, up.run_id) == ("improvement", "run-34")
    assert " in the night of 2026-11-21" in line(down)


def test_single_night_is_suspected_but_no_regression() -> None:
    change = only(find_changes([series(level(7, math.log(0.7), COUNT - 1))]).changes)
    assert (change.status, change.nights_after) == ("suspected", 1)
    assert "one night is no change point yet" in line(change)
    assert only(find_changes([series(level(7, math.log(1.4), COUNT - 1))]).changes).status == "suspected"


def test_more_series_need_a_stricter_threshold() -> None:
    weak = series(level(8, math.log(0.988), COUNT - 3))
    stable = [series(level(100 + n)) for n in range(60)]
    few = only(find_changes([weak, *stable[:4]]).changes)
    more = only(find_changes([weak, *stable[:9]]).changes)
    assert more.p_adjusted == pytest.approx(2 * few.p_adjusted, rel=0.9)
    assert find_changes([weak, *stable * 9]).changes == ()


def test_interval_of_visits_that_includes_zero_is_no_change() -> None:
    one = series(level(9, math.log(0.93), COUNT - 3, noise=0.005))
    unsure = replace(one, nights=tuple(replace(night, error=0.1) for night in one.nights))
    assert only(find_changes([one]).changes).status == "regression"
    assert find_changes([unsure]).changes == ()


def test_empty_history_has_no_changes() -> None:
    assert find_changes([]).changes == ()
    assert find_changes([series([1.0])]).changes == ()
    assert find_changes([series([1.0, 5.0, 1.0])]).detectable_effect is None


@given(st.lists(st.lists(st.floats(-50, 50), max_size=30), max_size=4), st.floats(0.01, 0.9))
@example([[0.0, -8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 1.0, 7.0]], 0.5)
def test_change_status_is_consistent_for_any_values(many: list[list[float]], limit: float) -> None:
    for change in find_changes([series(values) for values in many if values], limit).changes:
        assert change.low <= change.change <= change.high
        assert change.p_adjusted < 0.05
        assert change.change != 0
        if change.status != "suspected":
            assert not change.low <= 0 <= change.high
        if change.status in {"regression", "standing"}:
            assert not change.gain
            assert (change.nights_since <= RECENT) == (change.status == "regression")
        if change.status not in {"small", "past"}:
            assert abs(change.change) >= limit
        assert line(change)


def changed(dataplane: str, shift: float = -0.13, since: int = 36, metric: ComparedMetric = THROUGHPUT) -> Series:
    return series(level(len(dataplane), shift, since), metric, dataplane, "iptables")


def test_common_change_of_all_others_is_attributed_to_the_baseline() -> None:
    others = ["nftables", "ebpf", "ebpf-dsr"]
    note = only_text(baseline_changes(find_changes([changed(name) for name in others]).changes, others))
    assert note.startswith("iptables may be what changed in the night of 2026-12-07 (run run-36)")
    assert "pod-to-service tcp" in note
    unlike = [changed("nftables"), changed("ebpf", 0.13), changed("ebpf-dsr")]
    assert baseline_changes(find_changes(unlike).changes, others) == ()
    assert baseline_changes(find_changes([changed("ebpf")]).changes, ["ebpf"]) == ()


def only_text(found: tuple[str, ...]) -> str:
    (text,) = found
    return text


# Groups and sentences.


def test_every_status_has_its_heading() -> None:
    assert set(change_groups.KINDS) == set(get_args(ChangeStatus))
    assert set(change_groups.LOUD) < set(change_groups.KINDS)


def test_changes_are_sorted_by_news_and_grouped_by_night() -> None:
    found = find_changes(
        [
            changed("old", since=20),
            changed("new"),
            changed("new", 0.2, metric=BY_NAME["cpu_s_per_gbit"]),
            series(level(11, -0.14, 36), dataplane="new"),
            changed("good", 0.3, 35),
            changed("long-good", 0.3, 10),
            changed("lone", -0.4, COUNT - 1),
        ]
    )
    groups = change_groups.group_changes(found.changes)
    assert [(group.kind, group.dataplane) for group in groups] == [
        ("regression", "new"),
        ("suspected", "lone"),
        ("improvement", "good"),
        ("standing", "old"),
        ("past", "long-good"),
    ]
    assert [item.where for item in groups[0].items] == ["pod-to-service tcp", "pod-to-service tcp, CPU per Gbit"]
    assert re.fullmatch(r"−1\d % .* Gbit/s; against iptables −1\d % .*", groups[0].items[0].text)
    assert groups[0].line.endswith(", and 1 more figure")


def test_alarm_names_the_clearest_regression_and_counts_the_rest() -> None:
    both = find_changes([changed("ebpf"), changed("nftables", -0.3)]).changes
    found = [change for change in both if change.status == "regression"]
    sentence = change_groups.regression_alarm([*found, replace(found[0], status="small", dataplane="other")])
    assert sentence.count(".") >= 1
    assert sentence.endswith("; 1 more such change.")
    assert "the night of 2026-12-07 (run run-36)" in sentence
    assert change_groups.regression_alarm([]) == ""
    beside = [replace(change, beside=("kernel 6.18.5 → 6.18.6",)) for change in found]
    assert "(that night: kernel 6.18.5 → 6.18.6)" in change_groups.regression_alarm(beside)
