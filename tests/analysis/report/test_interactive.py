"""The interactive report: what is packed in it, and what a real browser does with it."""

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analysis import report
from analysis.domain import StoredScale
from analysis.report import vega
from analysis.report.interactive import SCRIPT, VEGA
from analysis.sql import database
from tests import browser
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe

HOSTILE = "<img src=x onerror=\"document.title='broken in'\"></script><script>document.title='broken in'</script>"
RECIPE = Recipe(
    rounds=3,
    entries=(*ENTRIES[:2], {"name": "gamma", "title": f"Gamma {HOSTILE}", "colour": "#009E73"}),
    cells=synthetic.QUICK[1:3] + synthetic.QUICK[6:],
    fail=frozenset({("beta", "pod-to-pod")}),
    unproven=frozenset({2}),
    repetitions=2,
    scales=(StoredScale(0), StoredScale(1000)),
    slower=lambda dataplane, scale: 1 + scale.services / 500 if dataplane == "alpha" else 1.0,
)


@pytest.fixture(scope="module", autouse=True)
def _undrawn() -> Iterator[None]:
    """The pictures of the report beside the page, which nobody looks at here, are empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.charts.to_svg", lambda *_: "<svg/>")
        yield


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return synthetic.database(tmp_path_factory.mktemp("store"), RECIPE)


@pytest.fixture(scope="module")
def pages(con: duckdb.DuckDBPyConnection) -> report.Pages:
    return report.render_pages(con, RECIPE.run_id, synthetic.summarise(con, RECIPE.run_id))


@pytest.fixture(scope="module")
def page(pages: report.Pages) -> str:
    return pages.interactive


def packed(page: str, name: str) -> str:
    found = re.search(rf'<script type="application/gzip" id="{name}">([A-Za-z0-9+/=]*)</script>', page)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1])).decode()


def figures(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(packed(page, "figures"))
    return found


def test_every_trial_is_packed_with_its_figures_and_its_error(con: duckdb.DuckDBPyConnection, page: str) -> None:
    stored = database.query(con, "select trial, outcome, received_bps, flags from trials order by trial").to_pylist()
    trials = figures(page)["trials"]
    assert [t["trial"] for t in trials] == [row["trial"] for row in stored]
    for trial, row in zip(trials, stored, strict=True):
        assert trial["values"].get("received_bps") == row["received_bps"]
        assert trial["flags"] == row["flags"]
        assert (trial["error"] is not None) == (row["outcome"] == "failed" or trial["visit"] == 2)
    assert any(t["marks"] for t in trials)


def test_outcomes_of_the_packed_trials_are_those_that_the_report_counts(tmp_path: Path) -> None:
    recipe = Recipe(rounds=3, stop_after=60, unproven=frozenset({2}))
    with synthetic.database(tmp_path, recipe) as con:
        summary = synthetic.summarise(con, recipe.run_id)
        page = report.render_pages(con, recipe.run_id, summary).interactive
    counts = Counter(trial["outcome"] for trial in figures(page)["trials"])
    told = (summary.trials_measured, summary.trials_failed, summary.trials_not_run)
    assert tuple(counts[outcome] for outcome in ("measured", "failed", "not-run")) == told
    assert all(told)


def test_charts_are_those_of_the_report_and_share_their_rows(pages: report.Pages) -> None:
    found = figures(pages.interactive)
    shown = re.findall(r'<figure id="([a-z_]+)">(.*?)</figure>', pages.report, re.DOTALL)
    drawn = [name for name in shown if "<svg" in name[1]]
    assert set(found["charts"]) == {name for name, _ in drawn}
    for name, chart in found["charts"].items():
        assert chart["data"], name
        assert set(chart["data"]) <= set(found["rows"])
        assert set(chart["looks"]) == {"wide", "narrow"}
    assert {"received_bps", "connect_p50_s", "cpu_s_per_gbit"} <= set(found["metrics"])


def test_page_needs_nothing_else_and_runs_two_scripts_alone(page: str) -> None:
    html = re.sub(r'id="(vega|figures)">[^<]*<', "", page)
    assert "<script>document" not in html
    assert "<img" not in html
    assert re.findall(r'(?:src|href)="([^"]*)"', html) == ["report.html", "report.html"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].count("sha256-") == 2
    assert "unsafe-eval" not in policy[1]
    assert packed(page, "vega") == gzip.decompress(VEGA.read_bytes()).decode()
    assert len(page) < 1_000_000
    assert SCRIPT.read_text() in page


def test_packed_vega_is_of_the_installed_version() -> None:
    assert gzip.decompress(VEGA.read_bytes()).decode() == vega.bundle(), "type `make manifests`"


@pytest.mark.parametrize(
    "recipe", [Recipe(rounds=2, stop_after=0), Recipe(rounds=1, entries=ENTRIES[:1])], ids=["nothing", "one"]
)
def test_interactive_page_of_a_run_with_little_to_show(recipe: Recipe, tmp_path: Path) -> None:
    with synthetic.database(tmp_path, recipe) as con:
        html = report.render_pages(con, recipe.run_id, synthetic.summarise(con, recipe.run_id)).interactive
    assert ("Nothing was measured" in html) == (recipe.stop_after == 0)


DRIVER = """<!doctype html><title>waiting</title><body style="margin:0">
<iframe src="/report-interactive.html" style="width:1100px;height:9000px;border:0"></iframe><script>
const frame = document.querySelector('iframe'), found = {};
const until = (what, test) => new Promise((done, fail) => { let left = 400; const look = () => {
  if (test()) done(); else if (left--) setTimeout(look, 25); else fail(new Error('never ' + what)); }; look(); });
frame.onload = async () => { try {
  const page = frame.contentDocument, all = name => [...page.querySelectorAll(name)];
  const marks = chart => chart.querySelectorAll('.mark-symbol path, .mark-rect path').length;
  const texts = chart => [...chart.querySelectorAll('text')].map(text => text.textContent);
  const explorer = page.querySelector('#explorer .drawing'), first = page.querySelector('#differences .drawing');
  const change = (input, value) => { if (value === undefined) input.checked = !input.checked; else input.value = value;
    input.dispatchEvent(new frame.contentWindow.Event('change', { bubbles: true })); };
  const boxes = (group, text) => all(`#${group} input`).filter(input => input.value.startsWith(text));
  const press = async mark => {
    for (const kind of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'])
      mark.dispatchEvent(new frame.contentWindow.MouseEvent(kind, { bubbles: true }));
    await until('opened', () => page.querySelector('#behind').open);
    page.querySelector('#behind').close();
    return [page.querySelector('#behind-heading').textContent, all('#behind tbody tr').length];
  };
  const ready = () => page.body.dataset.state === 'ready';
  await until('drawn', () => ready() && all('.drawing svg').length === all('.drawing').length);
  found.failure = page.querySelector('#failure').textContent;
  found.untold = page.querySelector('#untold').textContent;
  found.drawn = all('.drawing svg').length;
  found.trials = marks(explorer);
  const point = [...explorer.querySelectorAll('.mark-symbol path')].at(-1);
  const at = point.getBoundingClientRect(), options = { bubbles: true, clientX: at.x + 3, clientY: at.y + 3 };
  for (const kind of ['pointerover', 'mouseover', 'pointermove', 'mousemove'])
    point.dispatchEvent(new frame.contentWindow.MouseEvent(kind, options));
  await until('told', () => !page.querySelector('#tip').hidden);
  found.tip = page.querySelector('#tip').textContent;
  found.behind = await press(point);
  found.at_scale = await press([...page.querySelectorAll('#at_scale .drawing .mark-symbol path')].at(-1));
  change(page.querySelector('#metric'), 'connect_p50_s');
  await until('changed', () => explorer.dataset.drawn === 'connect_p50_s');
  found.shown = page.querySelector('#shown').textContent;
  found.paths = texts(explorer).filter(text => text.startsWith('pod-to'));
  change(page.querySelector('#metric'), 'received_bps');
  boxes('dataplanes', 'Beta').forEach(box => change(box));
  const told = start => [first, explorer].some(chart => texts(chart).some(text => text.startsWith(start)));
  await until('without Beta', () => explorer.dataset.drawn === 'received_bps' && !told('Beta'));
  found.rows = all('#chosen-trials tbody tr').length;
  boxes('paths', 'pod-to-pod tcp').forEach(box => change(box));
  await until('without a path', () => !told('pod-to-pod'));
  found.left = all('#chosen-trials tbody tr').length;
  found.images = all('img').length;
  change(page.querySelector('#metric'), 'cpu_s_per_gbit');
  for (const input of all('#dataplanes input:checked')) change(input);
  await until('emptied', () => all('.drawing .empty').length > 1);
  document.title = JSON.stringify(found).replaceAll('<', '(');
} catch (error) { document.title = JSON.stringify({ error: String(error), ...found }).replaceAll('<', '('); } };
</script></body>"""
"""Uses the page as a reader would, waiting for each effect, and leaves what it saw in the title."""


@pytest.mark.browser
class TestInBrowser:
    pytestmark = browser.NEEDED

    def test_choices_tooltips_and_trials_behind_marks(self, page: str, tmp_path: Path) -> None:
        pages: dict[str, tuple[str, str | None]] = {
            "/report-interactive.html": (page, None),
            "/driver.html": (DRIVER, None),
        }
        with browser.served(pages) as address:
            done = browser.browse(
                tmp_path, f"{address}/driver.html", "--dump-dom", "--virtual-time-budget=60000", size=(1100, 9000)
            )
        found = json.loads(browser.title(done.stdout).replace("&quot;", '"').replace("&amp;", "&"))
        assert browser.violations(done.stderr) == []
        assert "error" not in found, found
        assert found["failure"] == ""
        outcomes = Counter(trial["outcome"] for trial in figures(page)["trials"])
        told = f"Of what is chosen {outcomes['failed']} of {outcomes.total()} trials failed; the reasons stand"
        assert found["untold"].startswith(told)
        assert found["drawn"] == 1 + len(figures(page)["charts"])
        assert found["trials"] > 6
        assert "95 % interval" in found["tip"]
        assert "dataplane" in found["tip"]
        assert re.search(r"pod-to-service tcp, 1\s000 Services$", found["behind"][0])
        assert (found["behind"][1], found["at_scale"][1]) == (6, 6)
        assert found["shown"] == "connect time, median, ms"
        assert all(path.startswith("pod-to-service connect") for path in found["paths"])
        assert (found["rows"], found["left"]) == (72, 48)
        assert found["images"] == 0

    def test_opened_as_a_file_without_a_network(self, page: str, tmp_path: Path) -> None:
        file = tmp_path / "report-interactive.html"
        file.write_text(page)
        offline = ("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=30000")
        done = browser.browse(tmp_path / "profile", file.as_uri(), "--dump-dom", *offline, size=(500, 4000))
        assert browser.violations(done.stderr) == []
        assert 'data-state="ready"' in done.stdout
        assert len(re.findall(r"<svg ", done.stdout)) > 3
        assert browser.title(done.stdout).startswith("Interactive: ")

    def test_interactive_page_runs_no_script_but_its_own(self, page: str, tmp_path: Path) -> None:
        file = tmp_path / "report-interactive.html"
        file.write_text(page.replace("</body>", "<script>document.title = 'broken in'</script></body>"))
        done = browser.browse(tmp_path / "profile", file.as_uri(), "--dump-dom", size=(500, 900))
        assert browser.violations(done.stderr)
        assert browser.title(done.stdout) != "broken in"
