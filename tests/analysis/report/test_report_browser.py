"""The report in a real browser, under the policy with which a workflow's user interface serves artifacts."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import report
from tests import browser
from tests.analysis import synthetic
from tests.analysis.synthetic import Recipe
from tests.browser import DARK, LIGHT, served, violations

POLICY = "sandbox; base-uri 'none'; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'"
FRAME = (475, 525)

pytestmark = browser.NEEDED

MEASURE = """<script>addEventListener('load', () => {
  const box = document.getElementById('verdict').getBoundingClientRect();
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const shown = [...document.querySelectorAll('svg')].filter(e => e.getBoundingClientRect().width > 0);
  const font = Math.min(...shown.map(e => {
    const scale = e.getBoundingClientRect().width / e.viewBox.baseVal.width;
    return Math.min(...[...e.querySelectorAll('text')].map(t => scale * parseFloat(getComputedStyle(t).fontSize))); }));
  document.title = [box.bottom, wide, shown.length, font,
    document.querySelector('table.answer tbody td').getBoundingClientRect().bottom].join(' ');
})</script></body>"""
"""What a browser made of the layout, left in the title, where `--dump-dom` shows it. Only served without the policy."""

COLOURS = """<script>addEventListener('load', () => {
  const light = colour => { const [r, g, b] = colour.match(/[0-9.]+/g).map(Number);
    return colour.startsWith('color(') ? (r + g + b) * 85 : (r + g + b) / 3; };
  const style = element => getComputedStyle(element);
  const texts = [...document.querySelectorAll('svg text')].map(e => light(style(e).fill));
  document.title = [light(style(document.body).backgroundColor), light(style(document.body).color),
    Math.min(...texts), Math.max(...texts)].join(' ');
})</script></body>"""
"""How light the ground, the text and the charts' texts are, from 0 to 255, likewise."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    recipe = Recipe(fail=frozenset({("beta", "pod-to-service")}))
    con = synthetic.database(tmp_path_factory.mktemp("store"), recipe)
    html = report.render_pages(con, recipe.run_id, synthetic.summarise(con, recipe.run_id)).report
    pages: dict[str, tuple[str, str | None]] = {
        "/report.html": (html, POLICY),
        "/free.html": (html, None),
        "/measured.html": (html.replace("</body>", MEASURE), None),
        "/open.html": (html.replace("<details>", "<details open>"), None),
        "/folded.html": (html.replace("details::details-content", "nothing"), None),
        "/coloured.html": (html.replace("</body>", COLOURS), None),
        "/bad.html": ("<!doctype html><body><script>1</script><img src='data:,x'></body>", POLICY),
    }
    with served(pages) as where:
        yield where


def browse(profile: Path, url: str, *options: str, size: tuple[int, int] = FRAME) -> subprocess.CompletedProcess[str]:
    return browser.browse(profile, url, *options, size=size)


def test_content_security_policy_blocks_nothing(address: str, tmp_path: Path) -> None:
    assert violations(browse(tmp_path / "bad", f"{address}/bad.html", "--dump-dom").stderr), "the check must bite"
    assert violations(browse(tmp_path / "good", f"{address}/report.html", "--dump-dom").stderr) == []


@pytest.mark.parametrize("size", [FRAME, (1280, 900)], ids=["frame", "window"])
def test_report_renders_the_same_under_content_security_policy(
    address: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    pictures = []
    for page in ("report", "free"):
        picture = tmp_path / f"{page}.png"
        browse(tmp_path / page, f"{address}/{page}.html", f"--screenshot={picture}", size=size)
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) > 20_000


@pytest.mark.parametrize("size", [FRAME, (500, 844), (820, 1180), (1280, 900)], ids=lambda size: f"{size[0]}")
def test_headline_fits_the_first_screen_without_overflow(address: str, tmp_path: Path, size: tuple[int, int]) -> None:
    dom = browse(tmp_path, f"{address}/measured.html", "--dump-dom", size=size).stdout
    bottom, overflow, drawings, smallest_font, first_cell = (float(part) for part in browser.title(dom).split())
    assert bottom < 500
    assert first_cell < 525, "the table begins on the first screen"
    assert overflow <= 0
    assert drawings >= 10
    assert smallest_font >= 10


@pytest.mark.parametrize(("scheme", "is_dark"), [(LIGHT, False), (DARK, True)], ids=["light", "dark"])
def test_text_contrast(address: str, tmp_path: Path, scheme: str, is_dark: bool) -> None:  # noqa: FBT001
    dom = browse(tmp_path, f"{address}/coloured.html", "--dump-dom", scheme).stdout
    ground, text, darkest, lightest = (float(part) for part in browser.title(dom).split())
    assert (ground < 128) == is_dark
    assert abs(text - ground) > 150
    assert (darkest - ground if is_dark else ground - lightest) > 60


def printed(folder: Path, url: str, *options: str) -> bytes:
    """The PDF, without what differs by the time of day, and without tags, whose numbers differ from time to time."""
    pdf = folder / "printed.pdf"
    browse(
        folder / "profile", url, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", "--disable-pdf-tagging", *options
    )
    return re.sub(rb"/(Creation|Mod)Date \([^)]*\)", b"", pdf.read_bytes())


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


@pytest.fixture(scope="module")
def light(address: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The report as it is printed from a light page."""
    return printed(tmp_path_factory.mktemp("light"), f"{address}/free.html", LIGHT)


@pytest.mark.slow(seconds=20)
def test_collapsed_sections_are_printed(address: str, light: bytes, tmp_path: Path) -> None:
    """As many pages as if all had been unfolded by hand, and more than without it."""
    unfolded, folded = (pages(printed(tmp_path, f"{address}/{page}.html", LIGHT)) for page in ("open", "folded"))
    assert pages(light) == unfolded > folded > 1


def test_dark_mode_report_is_printed_light(address: str, light: bytes, tmp_path: Path) -> None:
    assert printed(tmp_path, f"{address}/free.html", DARK) == light
