"""A comparison of runs as a page, as Markdown and as the document of its schema."""

import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import jsonschema
import pytest

from analysis.console.documents import schema, to_csv, to_json
from analysis.console.terminal import Terminal
from analysis.report import contrast_page
from analysis.summary.contrast.document import CompareDocument, compare_document, contrast_grid
from analysis.summary.contrast.markdown import to_markdown
from analysis.summary.contrast.run_contrast import RunContrast
from analysis.summary.figures.disclaimers import IMPORTED_DISCLAIMER, LAB_DISCLAIMER
from tests.analysis.contrasted import compared, gained, recipe, stored
from tests.analysis.report.test_report import Page
from tests.analysis.synthetic import ENTRIES
from workflows.cli.tables.contrast_table import print_contrast


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> RunContrast:
    hostile = ({**ENTRIES[0], "title": "<script>|`\x1b[31m"}, *ENTRIES[1:3])
    recipes = (
        recipe("one", environment="prod", entries=hostile, between=0.01, within=0.01),
        recipe(
            "two", environment="prod", entries=hostile, gains=gained(1.0, 1.2), between=0.01, within=0.01, kernel="<b>6"
        ),
    )
    return compared(stored(tmp_path_factory.mktemp("store"), *recipes), "one", "two")


@pytest.fixture(scope="module")
def page(found: RunContrast) -> tuple[str, Page]:
    html = contrast_page.render(found)
    return html, Page(html)


def test_page_shows_conditions_before_findings(found: RunContrast, page: tuple[str, Page]) -> None:
    html, parsed = page
    places = [html.index(mark) for mark in ('id="verdict"', 'id="beside"', 'id="answer"', "<svg", 'id="every"')]
    assert places == sorted(places)
    assert html.index("One run stands on each side") < html.index('id="answer"')
    assert found.headline.replace("\x1b[31m", "") in parsed.text.replace("\u00a0", " ")
    assert "6.18.5" in parsed.text


def test_every_contrast_is_on_the_page_with_its_sentence(found: RunContrast, page: tuple[str, Page]) -> None:
    text = page[1].text.replace("\u00a0", " ")
    assert len(found.contrasts) > 20
    assert [c.sentence for c in found.contrasts if c.answer not in text or c.figures not in text] == []


def test_contrast_page_has_no_scripts_and_nothing_from_outside(page: tuple[str, Page]) -> None:
    html, parsed = page
    assert not {tag for tag, _ in parsed.tags} & {"script", "img", "link", "iframe", "object", "embed", "b6"}
    assert not [a for _, attributes in parsed.tags for a in attributes if a.startswith("on") or a == "src"]
    assert not re.search(r"@import|url\((?!#)|\x1b", html)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert html.count("<table") == html.count("<caption>")


def test_markdown_is_a_table_that_nothing_recorded_can_break(found: RunContrast) -> None:
    text = to_markdown(found, "https://example.org/page.html")
    assert text.startswith("**")
    assert text.index("What else differed") < text.index("| --- |")
    assert "[The whole comparison](<https://example.org/page.html>)" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert not re.search(r"(?<!\\)<(?!/?details>|/?summary>|br>|https:)", text)
    assert "\x1b" not in text
    assert "\n- kernel 6.18.5 → \\<b\\>6\n" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_contrast_document_has_every_contrast_and_fits_its_schema(found: RunContrast) -> None:
    document = compare_document(found, "page.html")
    content = json.loads(to_json(document))
    jsonschema.validate(content, schema(CompareDocument))
    assert len(content["contrasts"]) == len(found.contrasts)
    gamma = next(c for c in content["contrasts"] if (c["dataplane"], c["against"]) == ("gamma", "alpha"))
    assert gamma["outcome"] == "worse"
    assert gamma["basis"] == "visits"
    lines = to_csv(contrast_grid(document)).splitlines()
    assert len(lines) == 1 + len(found.contrasts)
    assert lines[0].startswith("metric,")


def test_comparison_without_leading_metrics_is_a_page_too(tmp_path: Path) -> None:
    cells = (("pod-to-service", "ladder-512", "forward"),)
    runs = (recipe(name, environment="prod", cells=cells) for name in ("one", "two"))
    found = compared(stored(tmp_path, *runs), "one", "two")
    without = replace(found, contrasts=(), families=())
    assert "No leading metric was measured on both sides." in contrast_page.render(without)
    assert "rate within the loss bound" in contrast_page.render(found)


@pytest.mark.parametrize(
    ("environment", "disclaimer"), [("lab", LAB_DISCLAIMER), ("imported:x", IMPORTED_DISCLAIMER), ("prod", None)]
)
def test_every_rendering_says_what_figures_of_the_lab_and_of_imports_are_not(
    environment: str, disclaimer: str | None, tmp_path: Path
) -> None:
    runs = (recipe(name, environment=environment) for name in ("one", "two"))
    found = compared(stored(tmp_path, *runs), "one", "two")
    printed = io.StringIO()
    print_contrast(found, Terminal(printed, width=400))
    document = to_json(compare_document(found))
    assert json.loads(document)["disclaimer"] == disclaimer
    for text in (contrast_page.render(found), to_markdown(found), printed.getvalue()):
        shown = unescape(text.replace("\\", ""))
        for known in (LAB_DISCLAIMER, IMPORTED_DISCLAIMER):
            assert (known in shown) == (known == disclaimer)
    assert to_markdown(found).split("\n\n")[1].startswith(disclaimer.partition(":")[0] if disclaimer else "A is")
