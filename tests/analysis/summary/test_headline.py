"""The headline where latency is measured too: it names the metric that a reader would name first."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.domain import Cell
from analysis.metrics import LEADING
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.traffic import QUOTED
from tests.analysis.summary.comparisons import CONNECT, POD, TCP, answer_of, compared, run_of

PING = Cell("pod-to-service", "sockperf", "tcp", "forward")
LOADED = Cell("pod-to-service", "sockperf_load90", "tcp", "forward")
LADDER = Cell("pod-to-service", "iperf3_ladder", "udp", "forward")
TITLES = {"a": "iptables", "b": "nftables", "c": "eBPF"}
METRICS = {
    "tcp_connect": "connect_p50_s",
    "sockperf": "response_p50_s",
    "sockperf_load90": "response_p50_s",
    "iperf3_ladder": "bounded_loss_bps",
}


def answer(
    speeds: Mapping[Cell, tuple[float, ...]],
    halves: Mapping[Cell, float] | None = None,
    tails: tuple[float, ...] = (),
    titles: Mapping[str, str] = TITLES,
) -> Answer:
    """`speeds` of the dataplanes, in their order; what is fast takes less time. `halves`: half-widths of intervals."""
    found = []
    for cell, each in speeds.items():
        metric, half = METRICS.get(cell.tool, "received_bps"), (halves or {}).get(cell, 0.02)
        values = {name: 1 / speed if metric.endswith("_s") else speed for name, speed in zip(TITLES, each, strict=True)}
        found += compared(values, half, cell, metric)
        if tails and cell.tool.startswith("sockperf"):
            slow = {name: 1 / speed for name, speed in zip(TITLES, tails, strict=True)}
            found += compared(slow, half, cell, "response_p99_s")
    return answer_of(run_of(titles, [*speeds]), found)


@pytest.mark.parametrize(
    ("speeds", "sentence"),
    [
        (
            {TCP: (1, 1, 1.5), POD: (1, 1, 1.5), PING: (1, 3, 1), LOADED: (1, 3, 1)},
            "By response time nftables is best or as good, by throughput eBPF.",
        ),
        (
            {TCP: (1, 1, 4.0), POD: (1, 1, 4.0), PING: (1, 1.3, 1)},
            "By throughput eBPF is best or as good, by response time nftables.",
        ),
        (
            {TCP: (1, 1, 1.5), PING: (1, 2, 1), CONNECT: (2, 2, 1)},
            "By response time nftables is best or as good, by connect time iptables and nftables, by throughput eBPF.",
        ),
        (
            {TCP: (1, 1, 1.5), POD: (1, 1, 1.5), PING: (1, 1, 1.5)},
            "eBPF is best or as good on all 3 kinds of traffic; nftables equals iptables within 10 %.",
        ),
    ],
)
def test_headline_names_the_best_by_each_metric_beginning_with_the_surest_loss(
    speeds: dict[Cell, tuple[float, ...]], sentence: str
) -> None:
    assert answer(speeds).sentence == sentence


def test_latency_alone_is_named_where_throughput_is_undecided() -> None:
    found = [
        *compared({"a": 1.0, "b": 1.01, "c": 1.02}, 0.5, TCP),
        *compared({"a": 1.0, "b": 1.0, "c": 0.4}, 0.02, PING, "response_p50_s"),
        *compared({"a": 1.0, "b": 1.0, "c": 0.4}, 0.02, LOADED, "response_p50_s"),
    ]
    assert answer_of(run_of(TITLES, [TCP, PING, LOADED]), found).sentence.startswith(
        "eBPF is best or as good on 2 of 3 kinds of traffic, by response time"
    )


def test_headline_of_a_fast_median_with_a_worse_tail_is_not_good() -> None:
    found = answer({PING: (1, 1, 2)}, tails=(1, 1, 0.4))
    assert found.kinds[0].claim("c") == "mixed"
    assert found.sentence == "No dataplane is best by every metric on the one kind of traffic measured."


def test_family_of_comparisons_holds_what_the_first_page_may_quote() -> None:
    names = {metric.name for metric in QUOTED}
    leading = {"received_bps", "bounded_loss_bps", "connect_p50_s", "response_p50_s"}
    assert names == {*leading, "response_p99_s", "cpu_s_per_gbit"}
    assert {metric.name for metric in LEADING} == leading


def test_metrics_that_do_not_fit_are_left_out_and_the_rest_is_kept() -> None:
    speeds = {TCP: (1, 1, 1), CONNECT: (1, 1, 0.5), LADDER: (1, 1, 0.5), LOADED: (1, 1, 0.5)}
    assert answer(speeds, {TCP: 0.5}).sentence == (
        "iptables and nftables are each best or as good on 3 of 4 kinds of traffic; 1 is undecided."
    )
    del speeds[LADDER]
    assert answer(speeds, {TCP: 0.5}).sentence == (
        "iptables and nftables are each best or as good on 2 of 3 kinds of traffic, by connect time and response time; "
        "1 is undecided."
    )


def test_where_a_winner_is_worse_is_said_before_by_what_it_is_best() -> None:
    speeds = {TCP: (1, 1, 1.5), POD: (1, 1, 1), CONNECT: (1, 1, 0.5), LADDER: (1, 1, 0.5)}
    assert answer(speeds, {POD: 0.5}).sentence == (
        "iptables and nftables are each best or as good on 2 of 4 kinds of traffic, worse on 1; 1 is undecided."
    )


LED = ("throughput", "connect time", "response time", "rate within the loss bound")
CELLS = (TCP, CONNECT, LADDER, LOADED, PING, POD)
NAMES = st.sampled_from(["", "eBPF", "eBPF + DSR", "A title of four", "A long title of seven words (lab)"])


PATTERNS = st.sampled_from([(1, 1, 0.5), (1, 1, 1), (1, 1, 1.5)])
"""Of few kinds, so that several metrics often have the same winners."""


@settings(max_examples=500)
@given(
    st.fixed_dictionaries(dict.fromkeys(CELLS[:4], PATTERNS), optional=dict.fromkeys(CELLS[4:], PATTERNS)),
    st.sets(st.sampled_from(CELLS), max_size=2),
    st.tuples(NAMES, NAMES, NAMES),
)
def test_headline_fits_whatever_was_measured(
    speeds: dict[Cell, tuple[float, ...]], still_open: set[Cell], names: tuple[str, ...]
) -> None:
    """Up to six kinds of traffic by all four leading metrics, some of them undecided."""
    halves = dict.fromkeys(still_open, 0.5)
    sentence = answer(speeds, halves, titles=dict(zip(TITLES, names, strict=True))).sentence
    assert len(sentence.split()) <= 25, sentence


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.sampled_from([0.5, 1.0, 1.0, 1.5, 3.0])] * 3), min_size=2, max_size=6))
def test_headline_of_a_metric_holds_on_all_kinds_of_traffic(drawn: list[tuple[float, ...]]) -> None:
    found = answer(dict(zip(CELLS, drawn, strict=False)))
    assert len(found.sentence.split()) <= 25
    if not found.sentence.startswith("By "):
        return
    body = found.sentence.removesuffix(".").partition(";")[0]
    for words in (" is best or as good", " are each best or as good"):
        body = body.replace(words, "")
    claims = re.split(r"(?:^|, )[Bb]y ", body)[1:]
    assert claims
    for claim in claims:
        metric = next(m for m in LED if claim.startswith(m))
        named = [name for name, title in TITLES.items() if title in claim.removeprefix(metric)]
        assert named
        for kind in found.kinds:
            if kind.cells[0].standings[0].title.startswith(metric):
                assert all(kind.claim(name) == "good" for name in named)
