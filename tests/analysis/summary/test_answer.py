"""The answer: what it says follows from decided comparisons, and from these alone."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from analysis.domain import Cell
from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.answer.answer import Answer
from analysis.summary.answer.wording import cell_lines
from analysis.summary.figures.standings import MetricStanding, stand
from tests.analysis.summary.comparisons import CONNECT, HOST, OUTSIDE, POD, TCP, UDP, answer_of, compared, run_of

FOUR = {"iptables": "iptables", "nftables": "nftables", "ebpf": "eBPF", "ebpf-dsr": "eBPF + DSR"}
PAIR = "eBPF and eBPF + DSR are each"
SPEEDS = st.none() | st.floats(0.5, 2.0) | st.sampled_from([1.0, 1.0, 1.5, 1.5])
NINE = tuple(
    Cell(topology, *how)
    for topology in ("pod-to-pod", "pod-to-service", "external-to-nodeport")
    for how in (("iperf3", "tcp", "forward"), ("iperf3", "udp", "forward"), ("tcp_connect", "tcp", "forward"))
)


def words(found: Sequence[Comparison], names: Sequence[str] = ("a", "b", "c")) -> dict[str, str]:
    """The cells of the only kind of traffic."""
    answer = answer_of(run_of({name: name for name in names}), found)
    (kind,) = answer.kinds
    return {cell.dataplane: "; ".join(line.text for line in cell_lines(answer, cell)) for cell in kind.cells}


def test_best_as_good_worse_and_undecided() -> None:
    assert words(compared({"a": 1.0, "b": 1.5, "c": 1.51})) == {
        "a": "↓ worse by 32 to 36 %",
        "b": "↔ as good within 10 %",
        "c": "↔ as good within 10 %",
    }
    assert words(compared({"a": 1.0, "b": 1.5, "c": 2.0})) == {
        "a": "↓ worse by 48 to 51 %",
        "b": "↓ worse by 23 to 27 %",
        "c": "↑ best",
    }
    assert words(compared({"a": 1.0, "b": 1.5, "c": 1.6}, halves={frozenset("bc"): 0.2})) == {
        "a": "↓ worse by 36 to 39 %",
        "b": "↕ undecided, 24 % worse to 15 % better than c; better than a",
        "c": "↕ undecided, 13 % worse to 31 % better than b; better than a",
    }
    assert words(compared({"a": 1.0, "b": 1.05}, half=0.1), "ab") == {
        "a": "↕ undecided, 14 % worse to 5.3 % better",
        "b": "↕ undecided, 5.0 % worse to 17 % better",
    }


def test_less_time_is_better() -> None:
    assert words(compared({"a": 100e-6, "b": 50e-6, "c": 51e-6}, metric="connect_p50_s")) == {
        "a": "↓ worse by 96 to 105 %",
        "b": "↔ as good within 10 %",
        "c": "↔ as good within 10 %",
    }


def test_small_but_real_difference_is_best_and_as_good() -> None:
    assert words(compared({"a": 1.0, "b": 1.04, "c": 1.02}, half=0.01)) == {
        "a": "↔ as good within 10 %",
        "b": "↑ best",
        "c": "↔ as good within 10 %",
    }


def test_loss_against_another_than_the_best_names_it() -> None:
    found = compared({"a": 1.0, "b": 1.3, "c": 1.31}, half=0.03, halves={frozenset("ac"): 0.5})
    assert words(found)["a"] == "↓ worse by 20 to 26 % than b"


def test_dataplane_that_was_not_measured_has_a_reason_and_hides_nothing() -> None:
    found = compared({"a": 1.0, "b": 1.5, "c": None})
    assert words(found) == {
        "a": "↓ worse by 31 to 35 %",
        "b": "↑ best",
        "c": "– not measured, c has no measured visit here",
    }
    answer = answer_of(run_of({"a": "a", "b": "b", "c": "c"}), found)
    assert answer.sentence == ("b is better than a on the one kind of traffic measured; which is best is undecided."), (
        "c might be better"
    )


def test_flagged_figure_is_marked_in_its_cell_and_in_every_difference_to_it() -> None:
    found = compared({"a": 1.0, "b": 1.5}, flagged=("b",))
    assert words(found, "ab") == {"a": "↓ worse† by 31 to 35 %", "b": "↑ best†"}
    assert answer_of(run_of({"a": "a", "b": "b"}), found).sentence.endswith(".†")
    found = compared({"a": 1.0, "b": 1.5, "c": 1.51}, flagged=("c",))
    assert words(found) == {
        "a": "↓ worse† by 32 to 36 %",  # than c, the best mean
        "b": "↔ as good† within 10 %",  # of c
        "c": "↔ as good† within 10 %",
    }
    found = compared({"a": 1.0, "b": 1.5, "c": 2.0}, flagged=("a",))
    assert words(found) == {"a": "↓ worse† by 48 to 51 %", "b": "↓ worse by 23 to 27 %", "c": "↑ best"}


@given(st.lists(SPEEDS, min_size=3, max_size=3), st.sampled_from([0.02, 0.05, 0.3]), st.sets(st.sampled_from("abc")))
def test_no_extent_includes_a_flagged_figure_without_the_mark(
    speeds: list[float | None], half: float, flagged: set[str]
) -> None:
    found = compared(dict(zip("abc", speeds, strict=True)), half, flagged=flagged)
    for name, standing in stand("abc", found).items():
        if standing.extent and standing.against is not None:
            assert bool(standing.mark) == bool(flagged & {name, standing.against})


def run_with(
    values: Mapping[Cell, Mapping[str, float | None]], titles: Mapping[str, str] = FOUR, half: float = 0.02
) -> Answer:
    found = [
        c
        for cell, figures in values.items()
        for c in compared(figures, half, cell, "connect_p50_s" if cell.tool == "tcp_connect" else "received_bps")
    ]
    return answer_of(run_of(titles, [*values]), found)


def figures(cell: Cell, *speeds: float) -> dict[str, float | None]:
    """Of the four dataplanes; what is fast takes less time to connect."""
    return {name: 1 / speed if cell.tool == "tcp_connect" else speed for name, speed in zip(FOUR, speeds, strict=True)}


def test_sentence_of_the_issue() -> None:
    found = [c for cell in NINE for c in run_cells(cell, NINE.index(cell) == 8)]
    answer = answer_of(run_of(FOUR, NINE), found)
    assert answer.sentence == (
        "eBPF + DSR is best or as good on 8 of 9 kinds of traffic; nftables equals iptables within 10 %; "
        "1 is undecided."
    )


def run_cells(cell: Cell, is_open: bool) -> list[Comparison]:  # noqa: FBT001
    metric = "connect_p50_s" if cell.tool == "tcp_connect" else "received_bps"
    halves = {frozenset({"ebpf", "ebpf-dsr"}): 0.3} if is_open else {}
    return compared(figures(cell, 1.0, 1.01, 1.5, 1.9), 0.02, cell, metric, halves)


@pytest.mark.parametrize(
    ("speeds", "half", "sentence"),
    [
        ((1, 1, 1, 1), 0.02, "All 4 dataplanes are equal within 10 % on all 9 kinds of traffic."),
        ((1, 1, 1, 1), 0.5, "Which dataplane is best is undecided on all 9 kinds of traffic."),
        (
            (1, 1, 1.6, 1.6),
            0.2,
            f"{PAIR} better than iptables on all 9 kinds of traffic; which is best is undecided.",
        ),
        (
            (1.5, 1.5, 1, 1),
            0.02,
            "iptables and nftables are each best or as good on all 9 kinds of traffic.",
        ),
        (
            (1, 1, 1.6, 1.6),
            0.02,
            f"{PAIR} best or as good on all 9 kinds of traffic; nftables equals iptables within 10 %.",
        ),
    ],
)
def test_sentence_of_runs_that_are_alike_on_every_kind(speeds: tuple[float, ...], half: float, sentence: str) -> None:
    assert run_with({cell: figures(cell, *speeds) for cell in NINE}, half=half).sentence == sentence


def test_twins_are_equal() -> None:
    titles = {"iptables": "iptables (lab)", "iptables+twin": "iptables (lab) +twin"}
    values = {cell: dict.fromkeys(titles, 1.0) for cell in (TCP, UDP, POD)}
    assert run_with(values, titles).sentence == (
        "iptables (lab) and iptables (lab) +twin are equal within 10 % on all 3 kinds of traffic."
    )


def test_winner_tells_where_it_is_worse() -> None:
    values = {cell: figures(cell, 1.0, 1.01, 1.2, 1.9) for cell in NINE[:4]} | {UDP: figures(UDP, 1.0, 1.0, 2.0, 1.5)}
    assert run_with(values).sentence == (
        "eBPF + DSR is best or as good on 4 of 5 kinds of traffic, worse on 1; nftables equals iptables within 10 %."
    )


def test_metrics_that_agree_are_one_word_and_others_are_both_named() -> None:
    throughput, less, more = (
        compared(values, metric=metric)
        for values, metric in (
            ({"a": 1.0, "b": 1.5}, "received_bps"),
            ({"a": 1.5, "b": 1.0}, "cpu_s_per_gbit"),
            ({"a": 1.0, "b": 1.5}, "cpu_s_per_gbit"),
        )
    )
    assert words([*throughput, *less], "ab") == {"a": "↓ worse by 31 to 35 %", "b": "↑ best"}
    assert words([*throughput, *more], "ab") == {
        "a": "↓ throughput: worse by 31 to 35 %; ↑ CPU per Gbit: best",
        "b": "↑ throughput: best; ↓ CPU per Gbit: worse by 47 to 54 %",
    }
    sentence = answer_of(run_of({"a": "a", "b": "b"}), [*throughput, *more]).sentence
    assert sentence == "No dataplane is best by every metric on the one kind of traffic measured."


def test_host_network_is_no_kind_of_traffic() -> None:
    values = {HOST: {"a": 1.0, "b": 3.0}, TCP: {"a": 1.0, "b": 1.0}}
    answer = run_with(values, {"a": "a", "b": "b"})
    assert [kind.title for kind in answer.kinds] == ["in-cluster Service, TCP"]
    assert answer.sentence == "a and b are equal within 10 % on the one kind of traffic measured."
    assert "no answer" in run_with({HOST: values[HOST]}, {"a": "a", "b": "b"}).sentence


def test_host_network_that_changes_with_the_dataplane_is_noted() -> None:
    found = [*compared({"a": 1.0, "b": 1.4}, cell=HOST), *compared({"a": 1.0, "b": 1.5})]
    (note,) = answer_of(run_of({"a": "A", "b": "B"}, (HOST, TCP)), found).notes
    assert note.startswith("The host network itself changes with the dataplane (B +40 % [37, 43] against A): ")
    found = [*compared({"a": 1.0, "b": 1.01}, cell=HOST), *compared({"a": 1.0, "b": 1.5})]
    assert answer_of(run_of({"a": "A", "b": "B"}, (HOST, TCP)), found).notes == ()


def test_answer_names_dataplanes_not_visited_again_or_repeated() -> None:
    repeat = {"visit": 7, "repeated_as": 31, "dataplane": "b", "round": 2, "reason": "its host network was 40 % slower"}
    decided = {"rounds_run": 6, "decided_after": {"b": 3, "c": 6}, "repeats": [repeat, repeat | {"repeated_as": None}]}
    about = run_of({"a": "A", "b": "B", "c": "C"}, parameters=decided)
    assert answer_of(about, compared({"a": 1.0, "b": 2.0, "c": 3.0})).notes == (
        "Decided on every path, and so not visited again: B after round 3.",
        "Visit 7 (B, round 2) was repeated as visit 31, which counts; both are kept: its host network was 40 % slower.",
        "Visit 7 (B, round 2) could not be repeated: its host network was 40 % slower.",
    )


def test_kinds_have_plain_names() -> None:
    cells = (TCP, UDP, CONNECT, OUTSIDE, POD, POD._replace(direction="reverse"))
    about = run_of({"a": "a"}, cells)
    assert [about.traffic(cell) for cell in cells] == [
        "in-cluster Service, TCP",
        "in-cluster Service, UDP",
        "in-cluster Service, new connections",
        "external to nodeport, TCP download",
        "pod to pod, TCP upload",
        "pod to pod, TCP download",
    ]


@pytest.mark.parametrize(
    ("titles", "trials", "sentence"),
    [
        ({"a": "A"}, 4, "Only A was measured, so there is nothing to compare it with."),
        ({"a": "A", "b": "B"}, 0, "Nothing was measured, so there is no answer."),
    ],
)
def test_runs_without_an_answer(titles: dict[str, str], trials: int, sentence: str) -> None:
    assert answer_of(run_of(titles), [], trials).sentence == sentence


def test_interval_without_a_bound_is_shown_and_stored() -> None:
    found = [replace(c, high=math.inf) for c in compared({"a": 1.0, "b": 1.2}, 0.5)]
    assert words(found, "ab")["b"] == "↕ undecided, 28 % worse to more than tenfold better"
    answer = answer_of(run_of({"a": "a", "b": "b"}), found)
    adapter = TypeAdapter(Answer)
    assert adapter.validate_json(adapter.dump_json(answer)) == answer


NAMES = ("iptables", "nftables", "ebpf", "ebpf-dsr", "as-is", "iptables+twin", "ebpf+burden=64", "ebpf+x")


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[str, str], list[Cell], list[Comparison]]:
    names = NAMES[: draw(st.integers(2, 8))]
    title = st.sampled_from(["", "eBPF", "eBPF + DSR (lab)", "A long title of seven words (lab)", "x " * 40])
    titles = {name: draw(title) for name in names}
    cells = list(NINE[: draw(st.integers(1, 9))])
    found = []
    for cell in cells:
        metric = "connect_p50_s" if cell.tool == "tcp_connect" else "received_bps"
        values = {name: draw(SPEEDS) for name in names}
        found += compared(values, draw(st.sampled_from([0.01, 0.05, 0.3])), cell, metric)
        if cell.tool == "iperf3" and draw(st.booleans()):
            found += compared(values, draw(st.sampled_from([0.01, 0.3])), cell, "cpu_s_per_gbit")
    return titles, cells, found


@settings(max_examples=150)
@given(runs())
def test_answer_sentences_are_short_and_claim_no_more_than_the_comparisons(
    run: tuple[dict[str, str], list[Cell], list[Comparison]],
) -> None:
    titles, cells, found = run
    answer = answer_of(run_of(titles, cells), found)
    assert len(answer.sentence.split()) <= 25
    for claimed, holds in (
        (r"best or as good on (all )?(\d+)", lambda name: sum(is_best_or_as_good(name, cell, found) for cell in cells)),
        (
            r"better than .*? on (all )?(\d+)( of \d+)? kinds",
            lambda name: sum(is_better(name, cell, found) for cell in cells),
        ),
    ):
        if said := re.search(claimed, answer.sentence):
            assert max(map(holds, titles)) >= int(said[2]), answer.sentence
    if said := re.search(r"; (.*) equals? (.*) within 10 %(?: on (\d+))?", answer.sentence):
        most = max(sum(is_same(name, cell, found) for cell in cells) for name in titles)
        assert most >= int(said[3] or len(cells)), answer.sentence
    if said := re.search(r" are equal within 10 % on (?:all )?(\d+)", answer.sentence):
        alike = sum(all(c.within_margin and c.decided for c in leading(cell, found)) for cell in cells)
        assert alike >= int(said[1]), answer.sentence
    for kind in answer.kinds:
        for cell in kind.cells:
            if kind.claim(cell.dataplane) == "good":
                assert is_best_or_as_good(cell.dataplane, kind.measured, found)
        is_best = [cell.dataplane for cell in kind.cells if cell.standing == "best"]
        assert len(is_best) <= 1, "no two rows of a column contradict each other"
        if is_best:
            assert all(cell.standing in {"best", "as-good", "worse", "not-measured"} for cell in kind.cells)


def leading(cell: Cell, found: Sequence[Comparison]) -> list[Comparison]:
    return [c for c in found if c.cell == cell and c.metric != "cpu_s_per_gbit"]


def is_same(name: str, cell: Cell, found: Sequence[Comparison]) -> bool:
    """Whether it is decided that a dataplane is the same as the baseline."""
    own = [c for c in leading(cell, found) if c.against_baseline and c.dataplane == name]
    return bool(own) and all(c.decided and c.within_margin for c in own)


def advantages(name: str, cell: Cell, found: Sequence[Comparison]) -> dict[str, tuple[bool | None, bool, bool]]:
    """By other dataplane: whether it is better than that one, and whether that is decided and within the margin."""
    here = leading(cell, found)
    mine = {c.baseline: (c.gain, c.decided, c.within_margin) for c in here if c.dataplane == name}
    gains = {c.dataplane: None if c.gain is None else not c.gain for c in here if c.baseline == name}
    theirs = {c.dataplane: (gains[c.dataplane], c.decided, c.within_margin) for c in here if c.baseline == name}
    return mine | theirs


def is_best_or_as_good(name: str, cell: Cell, found: Sequence[Comparison]) -> bool:
    """Written anew: it is decidedly better than each other, as good, or better than one that is better than that."""
    against = advantages(name, cell, found)
    settled = {other for other, (gain, decided, within) in against.items() if decided and (gain or within)}
    for other in {*against} - settled:
        chain = advantages(other, cell, found)
        if not any(chain[middle][0] is False and not chain[middle][2] for middle in chain if middle != name):
            return False
    return True


def is_better(name: str, cell: Cell, found: Sequence[Comparison]) -> bool:
    return any(
        c.gain and not c.within_margin for c in leading(cell, found) if c.dataplane == name and c.against_baseline
    )


@pytest.mark.parametrize(
    ("low", "high", "extent"),
    [
        (-0.5, -0.2, "by 20 to 50 %"),
        (-30.0, -0.2, "by 20 % to more than tenfold"),
        (-61.0, -40.0, "by more than tenfold"),
    ],
)
def test_extent_of_what_is_worse(low: float, high: float, extent: str) -> None:
    assert MetricStanding("connect", "connect time", "worse", "ebpf", low=low, high=high).extent == extent
