"""The site of a store: its pages, what a second build writes, and what a bad run or a hostile text costs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.charts import Chart, ChartData, Drawing
from analysis.errors import BadInput, Unsupported
from analysis.site import names, pages, plan
from analysis.site.contents.runs import RunLine
from analysis.store.store import Store
from analysis.summary.figures.disclaimers import LAB_DISCLAIMER
from tests.analysis import copies
from tests.analysis.site.sites import build, change, files, fill, page, put, verdict
from tests.ordinary import ROOT

HOSTILE = "\"><script>alert(1)</script>/../../x'\u202e"

pytestmark = pytest.mark.usefixtures("without_charts")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return copies.stored(tmp_path / "results", "three nights", lambda store: fill(store, 3))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "www"


def test_every_link_leads_to_a_file(store: Store, site: Path, tmp_path: Path) -> None:
    put(store, "labelled-1", 4, label="before", verdict=verdict("labelled-1"))
    put(store, "labelled-2", 5, label="after", verdict=verdict("labelled-2"))
    store.write_report("night-01", {"report.html": "<p>whole</p>"}, latest=False)
    for place in (site, tmp_path / "results" / "site"):
        build(store, place)
        pages = [name for name in files(place) if name.endswith(".html") and "reports/" not in name]
        assert len(pages) == 1 + 1 + 1 + 1 + 1 + 5  # index, environment, trends, labels, comparison, runs
        for name in (name for name in pages if "comparisons/" not in name):
            for link in page(place, name).links:
                target = link.partition("#")[0]
                assert not target or (place / name).parent.joinpath(target).is_file(), (name, link)
    assert (site / "reports/night-01/report.html").read_text() == "<p>whole</p>"
    assert not (tmp_path / "results/site/reports").exists(), "a site in the store leads to the reports themselves"


def test_pages_say_what_each_night_found(store: Store, site: Path) -> None:
    put(store, "worse", 3, verdict=verdict("worse", changes=(change("night-02", 2, nights_since=2),)))
    put(store, "failed", 4, verdict=verdict("failed", outcome="measured-with-failures"))
    put(store, "late", 5)
    build(store, site)
    environment = page(site, "environments/prod.html").text
    assert "2 ● 3 ● 4 ▼ 5 ! 6 – 7" in environment
    assert "beta, 3 March 2026, in 1 report" in environment
    assert "−20 % [−30, −10]" in environment
    assert "Worse: beta, since the night of 2026-03-03" in page(site, "runs/worse.html").text
    assert "This run is stored and not analysed yet." in page(site, "runs/late.html").text
    index = page(site, "index.html").text
    assert "6 runs of 1 environment" in index
    assert "not analysed: This run is stored" in index


def test_pages_that_quote_figures_of_the_lab_say_what_they_are_not(store: Store, site: Path) -> None:
    put(store, "lab-run", 3, environment="lab", verdict=verdict("lab-run", environment="lab"))
    build(store, site)
    said = {name: page(site, name).text.count(LAB_DISCLAIMER) for name in files(site) if name.endswith(".html")}
    shown = {name: said[name] for name in ("index.html", "environments/lab.html", "environments/prod.html")}
    assert shown == {"index.html": 1, "environments/lab.html": 1, "environments/prod.html": 0}


def test_second_build_writes_nothing_and_a_new_night_only_what_it_changes(store: Store, site: Path) -> None:
    assert build(store, site).written == len(files(site)) - 1
    before = {name: (site / name).stat().st_mtime_ns for name in files(site)}
    again = build(store, site)
    assert (again.written, again.removed) == (0, 0)
    assert {name: (site / name).stat().st_mtime_ns for name in files(site)} == before
    put(store, "night-03", 3, verdict=verdict("night-03"))
    assert build(store, site).written == 6
    written = {name for name in files(site) if (site / name).stat().st_mtime_ns != before.get(name)}
    assert {name.partition("/")[0] for name in written} == {
        *("index.html", "site.json", "search-index.js", "environments", "trends", "runs")
    }
    assert {name for name in written if name.startswith("runs/")} == {"runs/night-02.html", "runs/night-03.html"}


def test_incremental_site_is_the_one_of_a_fresh_build(store: Store, site: Path, tmp_path: Path) -> None:
    build(store, site)
    put(store, "night-03", 3, verdict=verdict("night-03", headline="Alpha is best."))
    put(store, "night-01", 1, label="again", verdict=verdict("night-01", headline="Rewritten."))
    build(store, site)
    build(store, tmp_path / "fresh")
    assert files(site) == files(tmp_path / "fresh")


def test_page_that_is_gone_is_written_again(store: Store, site: Path) -> None:
    build(store, site)
    (site / "runs/night-01.html").unlink()
    assert build(store, site).written == 1
    assert (site / "runs/night-01.html").is_file()


def test_pages_of_removed_runs_go_and_other_files_stay(store: Store, site: Path) -> None:
    store.write_report("night-01", {"report.html": "<p>"}, latest=False)
    build(store, site)
    (site / "runs/own.html").write_text("somebody's")
    (site / "robots.txt").write_text("somebody's")
    for table in ("runs", "visits", "trials"):
        for file in store.files.list(table):
            if file.name.startswith("night-01."):
                store.files.delete(f"{table}/{file.name}")
    assert build(store, site).removed == 2
    left = files(site)
    assert not any("night-01" in name for name in left)
    assert not any(b"night-01.html" in content for content in left.values())
    assert not (site / "reports").exists() or not list((site / "reports").iterdir())
    assert left["runs/own.html"] == left["robots.txt"] == b"somebody's"


def test_report_that_is_written_again_is_copied_again(store: Store, site: Path) -> None:
    store.write_report("night-01", {"report.html": "<p>old"}, latest=False)
    build(store, site)
    store.write_report("night-01", {"report.html": "<p>new"}, latest=False)
    report = Path(store.location("reports/night-01/report.html"))
    os.utime(report, (1, 1))
    assert build(store, site).written == 1
    assert (site / "reports/night-01/report.html").read_text() == "<p>new"


def test_hostile_text_is_text_and_never_a_path(store: Store, site: Path, tmp_path: Path) -> None:
    put(store, "bad-1", 6, environment=HOSTILE, label=HOSTILE, verdict=verdict("bad-1", headline=HOSTILE))
    put(store, "bad-2", 7, environment=HOSTILE, label="x", verdict=verdict("bad-2", headline=HOSTILE))
    put(store, "empty", 8, environment=None, verdict=verdict("empty"))
    outside = set(tmp_path.iterdir())
    build(store, site)
    assert {*outside, site} == set(tmp_path.iterdir())
    clean = HOSTILE.removesuffix("\u202e")
    for name in files(site):
        if name.endswith(".html") and not name.startswith("comparisons/"):
            parsed = page(site, name)
            assert parsed.elements.count("script") == 1, name
            assert "\u202e" not in parsed.text
    assert clean in page(site, "index.html").text
    assert clean in page(site, "runs/bad-1.html").text
    index = (site / "search-index.js").read_text(encoding="ascii")
    assert "<" not in index
    entries = json.loads(index.removeprefix("globalThis.sitePages = ").removesuffix(";\n"))
    assert any(clean in title for _, title, _ in entries)
    assert all((site / href).is_file() for href, _, _ in entries)


def test_names_of_plain_words_are_read_easily_and_others_never_collide() -> None:
    assert names.environment("prod-a") == "environments/prod-a.html"
    odd = ["", "..", "a/b", "A", "a", "prod ", "_x", "imported:knb", "x" * 300, "ä"]
    found = {names.environment(text) for text in odd}
    assert len(found) == len(odd)
    assert len({name.lower() for name in found}) == len(odd)
    assert names.comparison("a", "b", "c") != names.comparison("a", "bc", "")


@pytest.mark.parametrize("text", ["{", "[]", '{"headline": 3}', '{"headline": "x", "outcome": "?"}'])
def test_bad_verdict_costs_its_own_page(store: Store, site: Path, text: str) -> None:
    put(store, "bad", 1, verdict=None)
    store.keep_verdict("bad", text)
    written = build(store, site)
    assert written.broken == ()
    assert "can't be read" in page(site, "runs/bad.html").text
    assert "Beta is best in night-01." in page(site, "runs/night-01.html").text
    assert "can't be read" in page(site, "environments/prod.html").text


def test_run_that_can_not_be_shown_costs_its_own_page_and_is_tried_again(
    store: Store, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pages.run

    def fail(line: RunLine, *others: Any) -> str:  # noqa: ANN401 - what the page takes
        if line.run_id == "bad":
            raise TypeError("no figure")
        return made(line, *others)

    monkeypatch.setattr(pages, "run", fail)
    put(store, "bad", 9, environment="other", verdict=verdict("bad"))
    written = build(store, site)
    assert written.broken == ("runs/bad.html",)
    assert "can't be made" in page(site, "runs/bad.html").text
    assert "Beta is best in night-01." in page(site, "runs/night-01.html").text
    assert build(store, site).broken == ("runs/bad.html",)


def test_damaged_run_has_a_page_with_its_reason(store: Store, site: Path) -> None:
    (file,) = (entry.name for entry in store.files.list("trials") if entry.name.startswith("night-01."))
    Path(store.location(f"trials/{file}")).write_bytes(b"damaged")
    build(store, site)
    assert "Run night-01 is left out" in page(site, "runs/night-01.html").text
    assert "runs/night-01.html" in page(site, "index.html").links
    assert "night-00" in page(site, "runs/night-00.html").text


def test_trend_that_can_not_be_queried_costs_its_own_page(
    store: Store, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        con = arguments[0]
        con.sql("select no_column from runs")  # type: ignore[attr-defined]

    monkeypatch.setattr(plan, "draw_trends", fail)
    (broken,) = build(store, site).broken
    assert broken.startswith("trends/")
    assert "no_column" in page(site, broken).text


def test_labels_are_compared_each_with_the_one_before(store: Store, site: Path) -> None:
    for night, label in enumerate(["one", "two", "two", "three"], 10):
        put(store, f"run-{night}", night, label=label, verdict=verdict(f"run-{night}"))
    assert build(store, site).broken == ()
    labels = page(site, "labels/prod.html")
    assert [link for link in labels.links if "comparisons/" in link] == [
        f"../{names.comparison('prod', 'two', 'three')}",
        f"../{names.comparison('prod', 'one', 'two')}",
    ]
    assert "three against two" in labels.text
    compared = page(site, names.comparison("prod", "two", "three")).text
    assert "label=two" in compared
    assert "run-13" in compared


def test_labels_that_can_not_be_compared_have_a_page_with_the_reason(
    store: Store, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BadInput("A and B have no dataplane in common")

    monkeypatch.setattr("analysis.site.plan.contrast_groups", refuse)
    for night, label in enumerate(["one", "two"], 10):
        put(store, f"run-{night}", night, label=label, verdict=verdict(f"run-{night}"))
    assert build(store, site).broken == ()
    assert "A and B have no dataplane in common." in page(site, names.comparison("prod", "one", "two")).text
    assert build(store, site).written == 0


def test_unfinished_build_is_completed_by_the_next(
    store: Store, site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("analysis.site.pages.index", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            build(store, site)
    known = json.loads((site / "site.json").read_text())["pages"]
    assert set(known.values()) == {""}
    assert len(known) > 5
    build(store, site)
    build(store, tmp_path / "fresh")
    assert files(site) == files(tmp_path / "fresh")


@pytest.mark.parametrize("text", ["{", '{"pages": {"../../etc/passwd": "x"}}', '{"pages": {"runs/../x.html": ""}}'])
def test_manifest_that_is_none_ends_with_a_sentence(store: Store, site: Path, text: str) -> None:
    build(store, site)
    (site / "site.json").write_text(text)
    with pytest.raises(Unsupported, match=r"site\.json can't be read.*delete the site's folder"):
        build(store, site)


def test_program_that_refuses_a_manifest_says_no_more_than_why(store: Store, site: Path) -> None:
    """An error may keep frames alive, and so a connection to DuckDB, of which DuckDB would print a page at the end."""
    build(store, site)
    (site / "site.json").write_text('{"pages": {"../../etc/passwd": "x"}}')
    argv = [sys.executable, "-m", "workflows", "site", f"--results={store.url}", f"--site={site}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr


def test_pages_of_others_are_not_replaced(store: Store, site: Path) -> None:
    site.mkdir()
    (site / "index.html").write_text("mine")
    with pytest.raises(Unsupported, match="is no page of this program"):
        build(store, site)
    assert files(site) == {"index.html": b"mine"}


@pytest.mark.parametrize("place", [".", "runs", "reports/x", "raw"])
def test_site_among_the_stores_own_files_is_refused(store: Store, place: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="where the store has its own files"):
        build(store, tmp_path / "results" / place)


def test_store_without_a_run_has_no_site(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no run yet"):
        build(Store(str(tmp_path)), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_pages_are_for_keyboards_and_screen_readers(store: Store, site: Path) -> None:
    build(store, site)
    for name in (name for name in files(site) if name.endswith(".html")):
        parsed = page(site, name)
        assert parsed.links[:3] == [f"{names.to_root(name)}{each}" for each in (names.STYLE, names.SEARCH)] + [
            "#content"
        ]
        assert {"h1", "main", "nav", "label"} <= set(parsed.elements)
        assert parsed.elements.count("h1") == 1
        assert len(set(parsed.ids)) == len(parsed.ids)


def test_trend_has_a_chart_for_each_metric_with_its_change(
    store: Store, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, list[dict[str, object]]]] = []

    def remember(charts: list[Chart], data: ChartData) -> list[Drawing]:
        drawn.extend((chart.title, chart.frame(data).to_pylist()) for chart in charts)
        return [Drawing(chart, (), {}) for chart in charts]

    monkeypatch.setattr("analysis.charts.draw_all", remember)
    put(store, "night-03", 3, verdict=verdict("night-03", changes=(change("night-02", 2),)))
    assert build(store, site).broken == ()
    titles = [title for title, _ in drawn]
    assert titles == ["Throughput", "Throughput, against alpha"]
    absolute, relative = (rows for _, rows in drawn)
    assert {row["dataplane"] for row in absolute} == {"alpha", "beta"}
    assert len([row for row in relative if row["size"]]) == 1
    assert [row["size"] for row in relative if row["size"]] == ["−20 %"]
