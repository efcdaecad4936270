"""The answer as it is read: in Markdown, in the terminal and in a chat."""

import io
import re
from pathlib import Path

import pytest

from analysis.console.terminal import Terminal
from analysis.summary.answer.answer import Answer
from analysis.summary.answer.wording import cell_lines, cost_rows, digest
from analysis.summary.figures.standings import ARROWS
from analysis.summary.run.markdown import to_markdown
from analysis.summary.run.summary import Summary
from tests.analysis import synthetic
from tests.analysis.comparisons import POD, TCP, answer_of, compared, run_of
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
