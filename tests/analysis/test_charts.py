"""Every chart of the catalogue, drawn: a new one is tested the moment its file exists."""

import ast
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from analysis import charts
from analysis.charts import Chart, ChartData
from analysis.charts.drawing.data import to_frame
from analysis.charts.drawing.forest import OUTCOMES
from analysis.charts.drawing.svg import to_svg
from analysis.charts.drawing.theme import INKS, LAYOUTS, WIDE, ChartLayout
from analysis.domain import StoredScale
from analysis.metrics import METRICS
from analysis.stats import run
from steps.catalogue.dataplanes import DATAPLANES
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, summarise

ALL = charts.catalogue()
TWIN = {"name": "alpha+twin", "title": "Alpha +twin", "colour": "#0072B2"}
OF_VISITS = {"switching", "memory"}
"""Charts whose figures are the visits', which a run without trials has, too."""

HERE = Path(charts.__file__).parent


@contextmanager
def opened(root: Path, *recipes: Recipe) -> Iterator[ChartData]:
    """The first of these runs. The views are limited to it once, and not for each drawing, which takes longer."""
    con = synthetic.database(root, *recipes)
    found = ChartData(con, run.load_run(con, recipes[0].run_id), summarise(con, recipes[0].run_id).comparisons)
    with charts.narrowed(con, found.run.run_id):
        yield found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartData]:
    missing = frozenset({("beta", "pod-to-service")})
    recipe = Recipe(
        environment="prod", entries=(*ENTRIES, TWIN), fail=missing, references=True, cells=synthetic.LATENCY
    )
    earlier = Recipe(run_id="run-0", environment="prod", started_at=recipe.started_at.replace(day=2, month=2))
    connects = (("pod-to-service", "connect", "forward"),)
    scaled = Recipe(entries=recipe.entries, cells=connects, rounds=3, scales=(StoredScale(0), StoredScale(10_000)))
    with synthetic.database(tmp_path_factory.mktemp("scales"), scaled) as con:
        curves = summarise(con, scaled.run_id).curves
    with opened(tmp_path_factory.mktemp("store"), recipe, earlier) as found:
        yield replace(found, curves=curves)


@pytest.fixture(scope="module")
def unmeasured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartData]:
    with opened(tmp_path_factory.mktemp("store"), Recipe(stop_after=0)) as found:
        yield found


@pytest.fixture(scope="module", params=[1, 2], ids=["one-round", "two-rounds"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartData]:
    recipe = Recipe(rounds=request.param, entries=ENTRIES[:2], between=1.5)
    with opened(tmp_path_factory.mktemp("store"), recipe) as found:
        yield found


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartData]:
    recipe = Recipe(rounds=1, entries=ENTRIES[:1], cells=synthetic.QUICK[:2])
    with opened(tmp_path_factory.mktemp("store"), recipe) as found:
        yield found


def of_chart(chart: Chart) -> str:
    return chart.name


def test_chart_catalogue_is_the_files_and_the_metrics_that_have_one() -> None:
    of_metrics = {metric.chart.name for metric in METRICS if metric.chart}
    assert {of_chart(c) for c in ALL} == {path.stem for path in HERE.glob("[!_]*.py")} | of_metrics
    assert ALL[0].name == "differences"
    assert len({c.place for c in ALL}) == len(ALL)


@pytest.mark.parametrize("chart", ALL, ids=of_chart)
def test_chart_has_title_reading_and_reason_for_being_empty(chart: Chart) -> None:
    assert chart.title[0].isupper()
    assert chart.reading.endswith(".")
    assert chart.empty.endswith(".")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("chart", ALL, ids=of_chart)
def test_chart_is_valid_vega_lite_and_svg_of_known_colours_without_scripts(
    chart: Chart, layout: ChartLayout, data: ChartData
) -> None:
    frame = chart.frame(data)
    assert frame.num_rows > 0
    spec = chart.draw(frame, layout).to_dict(format="vega-lite")  # validates
    svg = to_svg(spec, layout, "name", "A description with <brackets> & more")
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "A description with <brackets> & more"
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names <= {"svg", "g", "path", "text", "line", "rect", "title", "defs", "clipPath", "tspan"}
    assert not re.search(r"data:|href|javascript|@import|url\((?!#name-)", svg)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert len(texts) > 3
    box = root.get("viewBox") or ""
    assert layout.width * 0.9 <= float(box.split()[2]) <= layout.width * 1.08, (
        "a chart fills its room, or its text shrinks"
    )
    known = {*INKS.values(), *(arm.colour for arm in data.run.arms), "transparent", "none"}
    used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
    assert {ink for ink in used if not ink.startswith("url")} <= known, "each has a light and a dark variant"


@pytest.mark.parametrize("chart", [c for c in ALL if of_chart(c) not in OF_VISITS], ids=of_chart)
def test_chart_without_data_gives_its_reason(chart: Chart, unmeasured: ChartData) -> None:
    drawing = charts.draw_all([chart], unmeasured)[0]
    if of_chart(chart) == "differences":
        assert "undecided" in drawing.variants[0]
        return
    assert drawing.variants == ()


def test_forest_shows_the_outcome_as_shape_and_colour_and_the_margin(data: ChartData) -> None:
    chart = next(c for c in ALL if of_chart(c) == "differences")
    rows = chart.frame(data).to_pylist()
    expected = {
        (c.path, c.dataplane): {True: "better", False: "worse", None: "the same" if c.decided else "undecided"}[c.gain]
        for c in data.comparisons
        if c.metric == "received_bps" and c.against_baseline
    }
    titles = {arm.title: arm.name for arm in data.run.arms}
    found = {(r["path"], titles[r["dataplane"]]): r["outcome"] for r in rows if ": " not in r["path"]}
    assert found == expected, "a path is named with its metric where that is not throughput"
    assert {"better", "undecided"} <= set(found.values())
    assert {(row["margin_low"], row["margin_high"]) for row in rows} == {(1 / 1.1, 1.1)}
    svg = charts.draw_all([chart], data)[0].variants[0]
    for outcome in set(found.values()):
        assert OUTCOMES[outcome][1] in svg
    assert svg.count('stroke-dasharray="3,3"') == 2 * len(rows), "the margin, on both sides"


@pytest.mark.parametrize("change", [-0.999_999, -1.0, -3.1, 0.0, 9e300, math.inf])
def test_forest_draws_whatever_a_noisy_run_compares(change: float, data: ChartData) -> None:
    """As a few trials on a busy machine do: CPU below the idle nodes', an interval without an end."""
    comparisons = tuple(
        replace(c, change=change, low=min(change, -1.0), high=math.inf, verdict="undecided")
        for c in data.comparisons
        if c.dataplane == "gamma"
    )
    noisy = replace(data, comparisons=comparisons)
    for chart in (c for c in ALL if of_chart(c) in {"differences", "cost"}):
        assert charts.draw_all([chart], noisy)[0].variants


def test_connections_broken_chart_of_a_cluster(tmp_path: Path) -> None:
    (chart,) = (each for each in ALL if of_chart(each) == "connections_broken")
    with opened(tmp_path, Recipe(environment="prod", broken={"beta": 2}, rounds=2)) as data:
        frame = chart.frame(data)
        texts = dict(zip(frame.column("dataplane").to_pylist(), frame.column("text").to_pylist(), strict=True))
        assert texts == dict.fromkeys(("Alpha", "Gamma", "Delta + return"), "none of 8") | {"Beta": "4 of 8"}
        assert len(charts.draw_all([chart], data)[0].variants) == 2


@pytest.mark.parametrize("chart", ALL, ids=of_chart)
def test_charts_of_the_smallest_runs(chart: Chart, small: ChartData) -> None:
    drawing = charts.draw_all([chart], small)[0]
    assert len(drawing.variants) in {0, len(LAYOUTS)}
    assert "NaN" not in "".join(drawing.variants)


@pytest.mark.parametrize("chart", ALL, ids=of_chart)
def test_labels_of_the_least_run_are_figures_and_no_noise_of_floats(chart: Chart, least: ChartData) -> None:
    """A path of a single trial does not deviate from its mean at all, and its axis says so."""
    frame = chart.frame(least)
    if frame.num_rows:
        svg = to_svg(chart.draw(frame, WIDE).to_dict(format="vega-lite"), WIDE, "name", "A description")
        assert not re.findall(r">[^<]*\d\.\d{6,}[^<]*<", svg)


def test_chart_labels_equal_computed_values(data: ChartData) -> None:
    """Three digits in the frame are three digits in the drawing; coordinates alone are rounded."""
    chart = next(c for c in ALL if of_chart(c) == "cpu_per_gbit")
    figures = {text for text in chart.frame(data).column("text").to_pylist() if text != "not measured"}
    assert any(len(text) >= 5 for text in figures)
    for svg in charts.draw_all([chart], data)[0].variants:
        assert figures <= {element.text for element in ET.fromstring(svg).iter()}


def test_missing_value_is_labelled_and_has_no_bar(data: ChartData) -> None:
    chart = next(c for c in ALL if of_chart(c) == "throughput")
    rows = [row for row in chart.frame(data).to_pylist() if row["dataplane"] == "Beta" and "Service" not in row["path"]]
    assert {row["value"] is None for row in rows} == {True, False}
    assert {row["text"] for row in rows if row["value"] is None} == {"not measured"}
    assert "not measured" in charts.draw_all([chart], data)[0].variants[0]


def test_trend_chart_marks_the_night_of_a_change_point(tmp_path: Path) -> None:
    recipe = Recipe(rounds=4, cells=synthetic.QUICK[:3])
    runs = synthetic.nights(24, {"gamma": (20, 0.85), "beta": (18, 1.3), "delta": (23, 0.6)}, recipe)
    con = synthetic.database(tmp_path, *runs)
    summary = summarise(con, "night-23")
    assert "suspected" in {change.status for change in summary.changes}, "and is not marked, for it may be one night's"
    data = ChartData(con, run.load_run(con, "night-23"), summary.comparisons, summary.changes)
    chart = next(c for c in ALL if of_chart(c) == "trend")
    frame = chart.frame(data)
    marks = [row for row in frame.to_pylist() if row["size"] is not None]
    assert {(row["path"], row["dataplane"], row["at"][:10]) for row in marks} == {
        (path, name, day)
        for path in ("pod-to-pod tcp", "pod-to-service tcp")
        for name, day in (("Gamma", "2026-03-21"), ("Beta", "2026-03-19"))
    }
    assert {row["place"] for row in marks} == {0, 1}, "nights near each other are written on two lines"
    for layout in LAYOUTS:
        svg = to_svg(chart.draw(frame, layout).to_dict(format="vega-lite"), layout, "x", "y")
        written = [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]
        for row in marks:
            assert written.count(row["size"]) == sum(other["size"] == row["size"] for other in marks)
        assert svg.count('stroke-dasharray="5,3"') == len(marks)


def test_twin_has_its_siblings_colour_and_is_hollow(data: ChartData) -> None:
    first, twin = data.run.arms[0], data.run.arms[-1]
    assert (twin.colour, twin.twin, first.twin) == (first.colour, True, False)
    chart = next(c for c in ALL if of_chart(c) == "throughput")
    assert 'fill-opacity="0.1' in charts.draw_all([chart], data)[0].variants[0]


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_chart_code_names_a_dataplane(path: Path) -> None:
    names = {d.name for d in DATAPLANES} | {d.title for d in DATAPLANES} | {"iptables", "nftables", "ebpf"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [(name, text) for text in texts for name in names if name.lower() in text.lower()]


def test_views_are_unfiltered_again_after_drawing(tmp_path: Path) -> None:
    recipe = Recipe(rounds=1, cells=synthetic.QUICK[:2])
    with synthetic.database(tmp_path, recipe, replace(recipe, run_id="run-2")) as con:
        before = run.query_rows(con, "select count(distinct run_id) as n from visit_means")
        charts.draw_all(ALL[:1], ChartData(con, run.load_run(con, "run-2"), ()))
        assert run.query_rows(con, "select count(distinct run_id) as n from visit_means") == before == [{"n": 2}]


def test_chart_draws_a_user_supplied_frame() -> None:
    row = {"path": "p", "unit": "Gbit/s", "dataplane": "X", "colour": "#0072B2", "shape": 0, "twin": False}
    frame = to_frame([row | {"value": 1.0, "low": 0.9, "high": 1.1, "text": "1.00"}])
    chart = next(c for c in ALL if of_chart(c) == "throughput")
    assert "1.00" in to_svg(chart.draw(frame, WIDE).to_dict(format="vega-lite"), WIDE, "x", "y")
