"""The report as a document: its content, without scripts and external references."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.charts import catalogue
from analysis.errors import BadInput
from analysis.sql.database import connect
from analysis.store.store import Store
from steps.catalogue.options import defaults
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, summarise

SMALL = Recipe(rounds=2, entries=ENTRIES[:2], cells=(synthetic.QUICK[1], *synthetic.QUICK[5:]))
"""With each of the tools of a quick run, so that each chart of such a run is drawn, but on fewer paths."""


class Page(HTMLParser):
    """Counts elements and collects text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", "".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(root: Path, *recipes: Recipe) -> tuple[str, Page]:
    con = synthetic.database(root, *recipes)
    html = report.render_pages(con, recipes[0].run_id, summarise(con, recipes[0].run_id)).report
    return html, Page(html)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, str, Page]:
    recipe = Recipe(fail=frozenset({("beta", "pod-to-service")}), unproven=frozenset({3}), stop_after=150)
    root = tmp_path_factory.mktemp("store")
    return recipe, root, *page_of(root, recipe)


def test_report_has_no_scripts_or_external_resources(broken: tuple[Recipe, Path, str, Page]) -> None:
    _, _, html, page = broken
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "use"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#")
        assert "src" not in attributes
    assert not re.search(r"@import|url\((?!#)|data:image|javascript:", html)


def test_headline_comes_first_and_every_comparison_has_its_sentence(
    broken: tuple[Recipe, Path, str, Page],
) -> None:
    recipe, root, html, page = broken
    summary = summarise(connect(Store(str(root)), asking=""), recipe.run_id)
    assert (
        html.index("<h1")
        < html.index('<table class="answer"')
        < html.index("<svg")
        < html.index('<table class="trials"')
    )
    assert summary.headline in page.text
    assert summary.notice is not None
    assert summary.notice in page.text
    for c in summary.comparisons:
        assert c.answer in page.text or not c.against_baseline
    for failure in summary.failures:
        assert failure.reason in page.text


def test_trials_table_has_every_trial_and_its_error(broken: tuple[Recipe, Path, str, Page]) -> None:
    _, _, html, _ = broken
    table = html[html.index('<table class="trials">') : html.index('<section id="evidence">')]
    assert len(re.findall("<tr", table)) == 1 + 168
    assert table.count("the run ended before it") == 18
    assert "Connection refused" in table
    assert "no sign on node-b told" in table
    assert re.search(r"<th scope=\"col\">received, Gbit/s</th>", table)
    assert "offered" not in table, "a column in which no trial has a figure is left out"
    heads = re.findall(r"<th scope=\"col\">([^<]*)</th>", table)
    assert heads[4:7] == ["path", "position", "repetition"]
    for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)[1:]:
        cells = re.split(r"<td[^>]*>", row)[1:]
        assert cells[5].strip().isdecimal()
        assert cells[6].strip() == "1"
        wide = re.search(r'colspan="(\d+)"', row)
        assert len(cells) + (int(wide[1]) - 1 if wide else 0) == len(heads)


@pytest.mark.usefixtures("without_charts")
def test_offered_rate_is_shown(tmp_path: Path) -> None:
    recipe = Recipe(rounds=2, cells=(("pod-to-pod", "udp", "forward"),))
    stored = synthetic.rows(recipe)
    for trial in stored["trials"]:
        trial["offered_bps"] = 5e8
    store = Store(str(tmp_path))
    store.write(recipe.run_id, stored)
    with connect(store) as con:
        html = report.render_pages(con, recipe.run_id, summarise(con, recipe.run_id)).report
    assert "offered, Gbit/s" in html
    assert "<td>0.500" in html


def test_headings_tables_and_svg_are_accessible(broken: tuple[Recipe, Path, str, Page]) -> None:
    _, _, html, page = broken
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len(tables) == html.count("<caption>")
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert drawings
    assert all(d.get("role") == "img" and d.get("aria-label") for d in drawings)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for _, attributes in page.tags if "href" in attributes}
    assert {target.removeprefix("#") for target in targets if target} <= set(ids)


@pytest.mark.usefixtures("without_charts")
def test_lab_values_are_labelled_as_such(tmp_path: Path) -> None:
    _, lab = page_of(tmp_path / "lab", SMALL)
    _, cluster = page_of(tmp_path / "cluster", replace(SMALL, environment="cluster-one"))
    for sentence in (
        "Lab figures: network namespaces on one machine",
        "must not be quoted as such",
        "or loss on a wire",
    ):
        assert sentence in lab.text
        assert sentence not in cluster.text
    assert "What these figures may be used for" in cluster.text


def test_recorded_text_is_escaped_html(tmp_path: Path) -> None:
    hostile = {"name": "alpha", "title": "<script>alert(1)</script>", "colour": '#000}</style><script src="x">'}
    html, page = page_of(tmp_path, replace(SMALL, entries=(hostile, ENTRIES[1])))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>" in page.text
    assert html.count("</style>") == 1
    assert "A processor <with brackets> & Co" in page.text


@pytest.mark.usefixtures("undrawn_charts")
def test_report_without_measurements(tmp_path: Path) -> None:
    _, page = page_of(tmp_path, Recipe(stop_after=0))
    assert "Nothing was measured, so there is no answer." in page.text
    assert "168 of 168 trials never ran" in page.text
    for chart in catalogue():
        assert (chart.title in page.text) == (not chart.section), "a section without anything to say is left out"


@pytest.mark.slow
def test_size_of_quick_report_and_folding_of_thorough_report(tmp_path: Path) -> None:
    quick, _ = page_of(tmp_path / "quick", Recipe(rounds=defaults("quick", "lab")["rounds"]))
    assert len(quick.encode()) < 1_000_000
    cells = tuple(
        (topology, protocol, direction)
        for topology in synthetic.BASE_BPS
        for protocol in ("tcp", "udp", "connect")
        for direction in ("forward", "reverse")
    )
    thorough, page = page_of(tmp_path / "thorough", Recipe(rounds=10, cells=cells))
    assert len(thorough.encode()) < 2_500_000
    assert "Round 10: 120 trials" in page.text
    assert thorough.count("<details>") >= 10


@pytest.mark.usefixtures("undrawn_charts")
@pytest.mark.parametrize("environment", ["lab", "cluster-one"])
def test_earlier_runs_of_the_environment_make_a_trend_chart(environment: str, tmp_path: Path) -> None:
    nights = [datetime(2026, 2, night, tzinfo=UTC) for night in range(20, 23)]
    earlier = [
        replace(SMALL, run_id=f"run-{at.day}", seed=at.day, started_at=at, environment=environment) for at in nights
    ]
    _, page = page_of(tmp_path, replace(SMALL, run_id="run-99"), *earlier)
    assert ("the trend begins with the second" in page.text) == (environment != SMALL.environment)


@pytest.mark.usefixtures("undrawn_charts")
def test_changes_section_has_size_and_night(tmp_path: Path) -> None:
    recipe = Recipe(environment="tiger", trigger="nightly", rounds=4, cells=synthetic.QUICK[:3], entries=ENTRIES[:3])
    runs = synthetic.nights(30, {"gamma": (26, 0.85), "beta": (29, 0.6)}, recipe)
    con = synthetic.database(tmp_path, *runs)
    summary = summarise(con, "night-29")
    html = report.render_pages(con, "night-29", summary).report
    page = Page(html)
    assert summary.alarm in page.text.replace("\u00a0", " ")
    assert (
        html.index('href="#changes"') < html.index("<svg") < html.index('id="changes"') < html.index('id="comparisons"')
    )
    assert "gamma, since the night of 2026-03-27 (run night-26)" in page.text
    assert "beta, in the night of 2026-03-30 (run night-29) alone; one night is no change point yet" in page.text
    assert summary.changes
    for change in summary.changes:
        assert change.extent.replace("\u00a0", " ") in page.text.replace("\u00a0", " ")
    assert "A change for the worse by 5.0 % or more is a regression" in page.text
    levels = [level for c in summary.comparisons if (level := summary.level_since(c))]
    assert len(levels) > 5
    for level in levels:
        assert (f"{level.estimate} over {level.span}" in page.text.replace("\u00a0", " ")) == (level.nights > 1)


@pytest.mark.usefixtures("without_charts")
def test_history_without_change_names_the_detectable_effect(tmp_path: Path) -> None:
    recipe = Recipe(rounds=4, cells=synthetic.QUICK[:2], entries=ENTRIES[:2])
    html, page = page_of(tmp_path / "many", *synthetic.nights(12, {}, recipe)[::-1])
    assert "Nothing that is news." in page.text
    assert "would show by its third night" in page.text
    assert 'href="#changes"' not in html
    alone, _ = page_of(tmp_path / "one", recipe)
    assert 'id="changes"' not in alone


@pytest.mark.usefixtures("without_charts")
def test_unknown_run_is_a_problem(tmp_path: Path) -> None:
    con = synthetic.database(tmp_path, Recipe(rounds=1))
    with pytest.raises(BadInput, match="there is no run 'nope'"):
        report.render_pages(con, "nope", summarise(con, "run-1"))


@pytest.mark.usefixtures("without_charts")
def test_report_of_a_cluster_has_ebpf_leftovers_and_switch_cost(tmp_path: Path) -> None:
    entries = ({**ENTRIES[0], "name": "iptables"}, {**ENTRIES[1], "name": "ebpf"})
    recipe = Recipe(environment="prod", entries=entries, gains={"iptables": 1.0, "ebpf": 1.2}, broken={"ebpf": 1})
    _, page = page_of(tmp_path / "both", recipe)
    assert "kernel.unprivileged_bpf_disabled until a reboot" in page.text
    assert "1 of 4" in page.text
    assert re.search(r"switch, until proven ?0.4 s \(median of 6\)", page.text)
    assert re.search(r"long-lived connections dropped ?none of 24 ?6 of 24", page.text)
    _, page = page_of(tmp_path / "one", replace(recipe, entries=entries[:1]))
    assert "unprivileged_bpf_disabled" not in page.text
    recorded: Any = ({**ENTRIES[0], "name": "iptables", "bpf": False}, {**ENTRIES[1], "name": "fast", "bpf": True})
    gains = {"iptables": 1.0, "fast": 1.2}
    _, page = page_of(tmp_path / "ebpf", replace(recipe, entries=recorded, gains=gains, broken={}))
    assert "unprivileged_bpf_disabled" in page.text, "what the run recorded, not what it is called"
