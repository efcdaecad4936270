"""After a round: which dataplanes go on, which visits are repeated, and why the run stops."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.metrics import BY_NAME
from analysis.stats.path_metric import path_metric_fields
from analysis.stats.verdicts.comparison import Comparison, Verdict
from steps.catalogue.options import Settings
from steps.collect.decision import ComparisonProgress, decide, progress_of
from steps.domain import Visit
from steps.settings import schedule
from tests.steps.builders import settings

ARMS = ("lab-iptables", "lab-nftables", "lab-ebpf")
CELLS = (Cell("pod-to-pod", "iperf3", "tcp", "forward"), Cell("pod-to-service", "iperf3", "tcp", "forward"))


def comparison(baseline: str, dataplane: str, verdict: Verdict, *, cell: Cell = CELLS[0], rounds: int = 3,
               metric: str = "received_bps", within_margin: bool = False) -> Comparison:  # fmt: skip
    return Comparison(
        **path_metric_fields(BY_NAME[metric], cell, cell.topology),
        baseline=baseline,
        dataplane=dataplane,
        verdict=verdict,
        rounds=rounds,
        margin_ratio=0.1,
        against_baseline=baseline == ARMS[0],
        within_margin=within_margin or verdict == "same",
    )


def pairs(*verdicts: Verdict, cell: Cell = CELLS[0]) -> list[Comparison]:
    """nftables and eBPF with iptables, then eBPF with nftables."""
    names = ((ARMS[0], ARMS[1]), (ARMS[0], ARMS[2]), (ARMS[1], ARMS[2]))
    return [comparison(*both, verdict, cell=cell) for both, verdict in zip(names, verdicts, strict=True)]


@pytest.mark.parametrize(
    ("verdicts", "undecided"),
    [
        (("same", "higher", "higher"), ()),
        (("undecided", "higher", "higher"), ("lab-nftables",)),
        (("higher", "undecided", "undecided"), ("lab-nftables", "lab-ebpf")),
        # which of the two is the best decides where neither is beaten
        (("higher", "higher", "undecided"), ("lab-nftables", "lab-ebpf")),
        # a dataplane that the baseline beats is not the best
        (("lower", "higher", "undecided"), ()),
        (("lower", "lower", "undecided"), ()),
    ],
)
def test_dataplane_goes_on_until_its_difference_and_the_best_are_decided(
    verdicts: tuple[Verdict, ...], undecided: tuple[str, ...]
) -> None:
    assert progress_of(pairs(*verdicts), ARMS[0]).undecided == {*undecided}


def test_difference_within_the_margin_does_not_rank() -> None:
    small = [replace(pairs("lower", "higher", "undecided")[0], within_margin=True)]
    found = progress_of([*small, *pairs("lower", "higher", "undecided")[2:]], ARMS[0])
    assert found.undecided == {"lab-nftables", "lab-ebpf"}


def test_every_path_counts_but_only_by_leading_metrics_and_where_both_were_measured() -> None:
    decided = pairs("same", "higher", "higher")
    assert progress_of(decided, ARMS[0]) == ComparisonProgress(3, 3, frozenset())
    other = comparison(ARMS[0], ARMS[1], "undecided", cell=CELLS[1])
    assert progress_of([*decided, other], ARMS[0]) == ComparisonProgress(4, 3, frozenset({"lab-nftables"}))
    assert progress_of([*decided, replace(other, rounds=0)], ARMS[0]).undecided == frozenset()
    assert progress_of([*decided, replace(other, metric="cpu_s_per_gbit")], ARMS[0]).undecided == frozenset()


def test_run_does_not_go_on_for_the_host_network_unless_that_is_all_it_measures() -> None:
    between_hosts = [replace(c, topology="node-to-node") for c in pairs("undecided", "undecided", "undecided")]
    assert progress_of([*pairs("same", "higher", "higher"), *between_hosts], ARMS[0]) == ComparisonProgress(
        3, 3, frozenset()
    )
    assert progress_of(between_hosts, ARMS[0]) == ComparisonProgress(3, 0, frozenset(ARMS[1:]))


CHOSEN = settings(options="rounds=6", dataplanes=",".join(ARMS))
VISITS = schedule.make_schedule(CHOSEN)
OPEN = ComparisonProgress(6, 4, frozenset({"lab-ebpf"}))
DONE = ComparisonProgress(6, 6, frozenset())


def level_after(done: int, chosen: Settings = CHOSEN) -> int:
    """The level that ends with a round."""
    return next(level for level in range(1, 41) if max(schedule.level_rounds(chosen, level)) == done)


def going(visits: Sequence[Visit], following: int) -> set[str]:
    assert {visit.round for visit in visits} == {following}
    return {visit.dataplane for visit in visits}


@pytest.mark.parametrize("done", [1, 2])
def test_decision_comes_after_the_third_round(done: int) -> None:
    chosen = CHOSEN.model_copy(update={"budget_s": 3600})
    found = decide(chosen, level_after(done, chosen), DONE, {}, measured=3 * done, elapsed_s=10)
    assert found.stopped is None
    assert going(found.visits, done + 1) == {*ARMS}
    assert found.reason == f"After {done} round{'s' * (done > 1)} nothing can be decided yet."


def test_decided_dataplane_is_not_visited_again_and_the_baseline_is() -> None:
    found = decide(CHOSEN, level_after(3), OPEN, {}, measured=9, elapsed_s=10)
    assert going(found.visits, 4) == {"lab-iptables", "lab-ebpf"}
    assert found.dropped == ("lab-nftables",)
    assert found.reason == (
        "After 3 rounds 4 of 6 comparisons are decided: lab-ebpf goes on; lab-nftables is not visited again."
    )


def test_run_stops_when_all_is_decided() -> None:
    found = decide(CHOSEN, level_after(3), DONE, {}, measured=9, elapsed_s=10)
    assert (found.stopped, found.visits) == ("decided", ())
    assert found.reason == "After 3 rounds all 6 comparisons are decided."


def test_run_stops_after_its_rounds() -> None:
    found = decide(CHOSEN, level_after(6), OPEN, {}, measured=18, elapsed_s=10)
    assert (found.stopped, found.visits) == ("rounds", ())
    assert found.reason == "After 6 rounds 4 of 6 comparisons are decided, and 6 rounds were the most."


def test_one_round_was_the_most() -> None:
    chosen = CHOSEN.model_copy(update={"rounds": 1})
    found = decide(chosen, level_after(1, chosen), OPEN, {}, measured=3, elapsed_s=10)
    assert found.reason.endswith(", and 1 round was the most.")


def test_run_with_nothing_to_compare_has_all_of_its_rounds() -> None:
    alone = settings(options="rounds=6", dataplanes="lab-ebpf")
    found = decide(alone, level_after(3), ComparisonProgress(), {}, measured=3, elapsed_s=10)
    assert [visit.round for visit in found.visits] == [4]
    assert decide(alone, level_after(6), ComparisonProgress(), {}, measured=6, elapsed_s=10).stopped == "rounds"


@pytest.mark.parametrize(("elapsed_s", "stopped"), [(400, None), (460, "budget")])
def test_run_stops_before_a_round_that_would_exceed_its_budget(elapsed_s: float, stopped: str | None) -> None:
    # another round takes a third of what three have taken
    chosen = CHOSEN.model_copy(update={"budget_s": 600})
    found = decide(
        chosen,
        level_after(3, chosen),
        ComparisonProgress(6, 0, frozenset(ARMS[1:])),
        {},
        measured=9,
        elapsed_s=elapsed_s,
    )
    assert found.stopped == stopped
    assert bool(found.visits) == (stopped is None)
    if stopped:
        assert found.reason.endswith("; going on would take until 10 min 23 s, and the budget is 10 min.")


def test_visit_with_a_reference_that_is_off_is_repeated_before_the_next_round() -> None:
    (bad,) = (v for v in VISITS if v.round == 3 and v.dataplane == "lab-nftables")
    found = decide(CHOSEN, level_after(3), OPEN, {bad.visit: "its reference is 40 % low"}, measured=9, elapsed_s=10)
    assert found.visits[0] == schedule.repeat(VISITS, bad)
    assert going(found.visits[1:], 4) == {"lab-iptables", "lab-ebpf"}
    assert found.reason.endswith(f"visit {bad.visit} is repeated, since its reference is 40 % low.")


@pytest.mark.parametrize(("done", "found", "stops"), [(3, DONE, "decided"), (6, OPEN, "rounds")])
def test_repeat_is_measured_before_a_run_stops(done: int, found: ComparisonProgress, stops: str) -> None:
    bad, level = VISITS[3 * done - 1], level_after(done)
    first = decide(CHOSEN, level, found, {bad.visit: "why"}, measured=9, elapsed_s=10)
    assert (first.stopped, first.visits) == (None, (schedule.repeat(VISITS, bad),))
    assert decide(CHOSEN, level + 1, found, {}, measured=10, elapsed_s=10).stopped == stops


@given(
    st.integers(1, 60),
    st.integers(1, 41),
    st.sets(st.sampled_from(ARMS[1:])),
    st.integers(0, 12),
    st.sets(st.integers(1, 180), max_size=3),
    st.none() | st.integers(60, 4000),
    st.floats(1, 5000),
)
def test_decision_plans_each_next_round_once_and_ends_the_run(
    rounds: int,
    level: int,
    undecided: set[str],
    compared: int,
    off: set[int],
    budget_s: int | None,
    elapsed_s: float,
) -> None:
    chosen = settings(options=f"rounds={rounds}", dataplanes=",".join(ARMS)).model_copy(update={"budget_s": budget_s})
    visits = schedule.make_schedule(chosen)
    found = ComparisonProgress(
        compared, 0 if undecided else compared, frozenset(undecided) if compared else frozenset()
    )
    decision = decide(chosen, level, found, dict.fromkeys(off, "why"), measured=1, elapsed_s=elapsed_s)
    assert (decision.stopped is None) == bool(decision.visits)
    numbers = [visit.visit for visit in decision.visits]
    assert len(set(numbers)) == len(numbers)
    assert all(schedule.find_visit(visits, visit.visit) == visit for visit in decision.visits)
    following = [visit for visit in decision.visits if visit.visit <= len(visits)]
    assert {visit.round for visit in following} <= {*schedule.level_rounds(chosen, level + 1)}
    assert not {visit.dataplane for visit in following} & {*decision.dropped}
    if following:
        assert ARMS[0] in {visit.dataplane for visit in following}
    if level > schedule.MOST_LEVELS and not off:
        assert decision.stopped
    assert decision.reason.endswith(".")


@pytest.mark.parametrize(
    ("done", "found", "reason"),
    [
        (4, ComparisonProgress(), "After 4 rounds nothing can be compared."),
        (
            4,
            OPEN,
            "After 4 rounds 4 of 6 comparisons are decided: lab-ebpf goes on; lab-nftables is not visited again.",
        ),
    ],
)
def test_reason_of_a_decision_has_the_progress_of_the_run(done: int, found: ComparisonProgress, reason: str) -> None:
    assert decide(CHOSEN, level_after(done), found, {}, measured=9, elapsed_s=10).reason == reason
