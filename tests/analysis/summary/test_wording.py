"""The answer as it is read: in Markdown, in the terminal and in a chat."""

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.console.terminal import Terminal
from analysis.summary.answer.answer import Answer
from analysis.summary.answer.wording import cell_lines, cost_rows, digest, document
from analysis.summary.figures.standings import ARROWS
from analysis.summary.run.key_metrics import answer_figures
from analysis.summary.run.markdown import to_markdown
from analysis.summary.run.summary import Summary
from tests.analysis import synthetic
from tests.analysis.summary.comparisons import CONNECT, OUTSIDE, POD, TCP, answer_of, compared, run_of
from tests.analysis.synthetic import ENTRIES, Recipe, summarise
from workflows.cli.tables.answer_table import print_answer


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    recipe = Recipe(environment="prod", broken={"beta": 2}, rounds=4, entries=ENTRIES)
    return summarise(synthetic.database(tmp_path_factory.mktemp("store"), recipe), recipe.run_id)


def answered(summary: Summary) -> Answer:
    assert summary.answer is not None
    return summary.answer


def printed(answer: Answer, width: int = 80) -> str:
    out = io.StringIO()
    print_answer(answer, Terminal(file=out, width=width))
    return out.getvalue()


def test_markdown_has_the_sentence_the_whole_table_and_how_sure(summary: Summary) -> None:
    answer, text = answered(summary), to_markdown(summary, "s3://b/reports/run-1/report.html")
    plain = text.replace("\\", "")
    assert plain.startswith(f"**{summary.headline}**\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(answer.kinds) + len(cost_rows(answer))
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(answer.sides) + 2}, "every row has every column"
    for kind in answer.kinds:
        for cell in kind.cells:
            assert all(line.text in plain for line in cell_lines(answer, cell))
    assert answer.certainty.basis in plain
    assert f"`{answer.certainty.command}`" in text
    assert plain.rstrip().endswith("Report: `s3://b/reports/run-1/report.html`")


def test_markdown_of_hostile_titles_stays_text(tmp_path: Path) -> None:
    hostile = {"name": "alpha", "title": "a | b <script> `x` [y](z) *", "colour": "#000000"}
    with synthetic.database(tmp_path, Recipe(entries=(hostile, *ENTRIES[1:]), rounds=2)) as con:
        text = to_markdown(summarise(con, "run-1"))
    assert "<script>" not in text
    assert r"a \| b \<script\> \`x\` \[y\](z) \*" in text


def test_costs_of_a_move_are_beside_each_dataplane(summary: Summary) -> None:
    costs = dict(cost_rows(answered(summary)))
    assert costs["switch, until proven"] == ["0.4 s (median of 4)"] * 4
    assert costs["long-lived connections dropped"] == ["none of 16", "8 of 16", "none of 16", "none of 16"]
    assert costs["new connections failed"] == ["none in 4 switches", "12 in 4 switches"] + ["none in 4 switches"] * 2
    assert costs["Services did not answer for"] == ["not measured"] * 4, "null is not measured, and never zero"


def test_lab_has_no_costs(tmp_path: Path) -> None:
    with synthetic.database(tmp_path, Recipe(broken={"beta": 2}, rounds=2)) as con:
        assert cost_rows(answered(summarise(con, "run-1"))) == []


def test_digest_has_a_line_for_each_dataplane(summary: Summary) -> None:
    lines = digest(answered(summary))
    assert [line.partition(":")[0] for line in lines] == ["Alpha", "Beta", "Gamma", "Delta + return"]
    assert "; long-lived connections dropped: 8 of 16; new connections failed: 12 in 4 switches" in lines[1]
    for line in lines:
        counted = [int(number) for number in re.findall(r" on (\d+)", line)]
        assert sum(counted) == len(answered(summary).kinds)
    assert not any("not measured" in line for line in lines)


CLAIMS = {"good": "best or as good", "worse": "worse", "mixed": "mixed", "undecided": "undecided"}
TITLES = {"a": "iptables", "b": "nftables", "c": "eBPF"}


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Of three dataplanes on up to four kinds, which may be unmeasured, undecided, or dearer in CPU than fast."""
    value = st.none() | st.sampled_from([1.0, 1.0, 1.5, 3.0])
    cells, found = draw(st.sets(st.sampled_from([TCP, POD, OUTSIDE, CONNECT]), min_size=1)), []
    for cell in sorted(cells):
        for metric in ("connect_p50_s",) if cell == CONNECT else ("received_bps", "cpu_s_per_gbit"):
            values = {name: draw(value) for name in TITLES}
            found += compared(values, draw(st.sampled_from([0.02, 0.02, 0.5])), cell, metric)
    return answer_of(run_of(TITLES, sorted(cells)), found)


@settings(max_examples=150)
@given(answers())
def test_headline_notification_document_and_gauges_have_equal_numbers(answer: Answer) -> None:
    gauges = answer_figures(answer)
    told = document(answer)["kinds"]
    for (name, title), line in zip(TITLES.items(), digest(answer), strict=True):
        counts = {claim: gauges[f"kinds {name} {claim}"] for claim in CLAIMS}
        assert counts == {c: sum(kind["dataplanes"][name]["answer"] == c for kind in told) for c in CLAIMS}
        assert line == f"{title}: " + ", ".join(f"{CLAIMS[c]} on {n:.0f}" for c, n in counts.items() if n)
    said = re.fullmatch(r"(.*?) (?:is|are each) best or as good on (?:all )?(\d+)\b.*", answer.sentence)
    if said is None:
        return
    for name in (name for name, title in TITLES.items() if title in said[1]):
        assert gauges[f"kinds {name} good"] == int(said[2])
        for claim, pattern in (("worse", r", worse on (\d+)"), ("mixed", r", mixed on (\d+)")):
            assert [int(number) for number in re.findall(pattern, answer.sentence)] in (
                [],
                [gauges[f"kinds {name} {claim}"]],
            )


def test_digest_of_a_fast_and_dear_dataplane_is_no_praise() -> None:
    same, dear = {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.5}
    found = [c for cell in (TCP, POD) for c in compared(same, cell=cell) + compared(dear, 0.02, cell, "cpu_s_per_gbit")]
    answer = answer_of(run_of({"a": "A", "b": "B"}, (TCP, POD)), found)
    assert digest(answer) == ["A: best or as good on 2", "B: worse on 2"]


@pytest.mark.parametrize("number", [1, 2, 4, 5, 8])
def test_terminal_has_every_cell_in_80_columns(number: int) -> None:
    names = {f"dataplane-{n}": f"Dataplane {n}" for n in range(number)}
    values = {name: 1.0 + 0.4 * place for place, name in enumerate(names)}
    found = [c for cell in (TCP, POD) for c in compared(values, cell=cell)]
    answer = answer_of(run_of(names, (TCP, POD)), found)
    text = printed(answer)
    assert max(map(len, text.splitlines()), default=0) <= 80
    assert ("in 12 min" in text) == (number > 1)
    assert [text.count(ARROWS[each]) for each in ("best", "worse")] == ([2, 2 * (number - 1)] if number > 1 else [0, 0])
    assert all(title in text for title in names.values()) == (number > 1)


def test_terminal_names_both_metrics_where_they_disagree() -> None:
    pair = {"a": 1.0, "b": 1.5}
    answer = answer_of(run_of({"a": "A", "b": "B"}), [*compared(pair), *compared(pair, metric="cpu_s_per_gbit")])
    text = printed(answer)
    assert re.search(r"in-cluster +↓ throughput: worse +↑ throughput: best", text)
    assert "↓ CPU per Gbit: worse" in text
