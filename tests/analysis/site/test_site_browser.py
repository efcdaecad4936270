"""The site in a real browser, from a folder by file://, as a user opens it who has no server."""

import re
from pathlib import Path

import pytest

from analysis.store.store import Store
from tests.analysis import synthetic
from tests.analysis.site.sites import build, change, fill, put, verdict
from tests.analysis.synthetic import Recipe
from tests.browser import DARK, LIGHT, NEEDED, browse, violations

HOSTILE = "<img src=x onerror=\"document.title='run'\">"
WIDE = (1280, 900)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')

pytestmark = NEEDED

MEASURE = """<script>addEventListener('load', () => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const light = colour => { const [r, g, b] = colour.match(/[0-9.]+/g).map(Number); return (r + g + b) / 3; };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll('p, h1, h2, td, th, li, summary')].map(e =>
    Math.abs(light(getComputedStyle(e).color) - ground));
  document.title = [wide, ground, Math.min(...texts)].join(' ');
})</script></body>"""
"""What a browser made of the page, left in its title; of a copy without the policy that forbids such a script."""

TYPE = """<script>addEventListener('load', () => {
  const input = document.getElementById('search');
  const links = [...document.querySelectorAll('a, input, summary')].filter(e => e.getClientRects().length);
  const first = links[0].className;
  const ready = () => {
    input.value = 'night-01'; input.dispatchEvent(new Event('input'));
    const found = [...document.querySelectorAll('#found a')].map(a => a.getAttribute('href')).join();
    const said = document.querySelector('[role=status]').textContent;
    input.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}));
    document.title = [first, found, said, document.querySelectorAll('#found a').length,
      document.activeElement.id].join('|');
  };
  document.head.addEventListener('load', () => setTimeout(ready), true);
  input.focus();
  input.value = 'n'; input.dispatchEvent(new Event('input'));
})</script></body>"""
"""Types into the search as a user does who has only a keyboard."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    store = Store(str(root))
    fill(store, 3)
    put(store, "hostile", 3, label=HOSTILE, verdict=verdict("hostile", headline=HOSTILE * 3))
    put(store, "worse", 4, verdict=verdict("worse", changes=(change("night-02", 2),)))
    recipe = Recipe(run_id="measured", rounds=3)
    synthetic.stored(root, recipe)
    build(store, root / "site")
    return root / "site"


def browsed(profile: Path, url: str, *options: str, size: tuple[int, int] = WIDE) -> str:
    return browse(profile, url, "--dump-dom", *options, size=size).stdout


def title(dom: str) -> str:
    found = re.search(r"<title>([^<]*)</title>", dom)
    assert found is not None
    return found[1]


def copied(site: Path, name: str, script: str, *, policy: bool = False) -> str:
    """The address of a copy of a page with a script in it."""
    text = (site / name).read_text(encoding="utf-8").replace("</body>", script)
    copy = (site / name).with_suffix(".copy.html")
    copy.write_text(text if policy else POLICY.sub("", text), encoding="utf-8")
    return copy.as_uri()


def test_search_works_without_a_server(site: Path, tmp_path: Path) -> None:
    dom = browsed(tmp_path, f"{(site / 'runs/night-00.html').as_uri()}#search=prod%20night-02")
    found = re.findall(r'<li><a href="([^"]*)">', dom.partition('id="found"')[2].partition("</ul>")[0])
    assert found == ["../runs/night-02.html"]
    assert "1 found" in dom
    assert "hidden" not in dom[dom.index("<form") : dom.index(">", dom.index("<form"))]


def test_search_shows_hostile_text_as_text(site: Path, tmp_path: Path) -> None:
    done = browse(tmp_path, f"{(site / 'index.html').as_uri()}#search=onerror", "--dump-dom", size=WIDE)
    assert title(done.stdout) == "Dataplane benchmark: all results"
    assert done.stdout.partition('id="found"')[2].count("&lt;img") >= 2
    assert violations(done.stderr) == []


def test_keyboard_reaches_the_search_and_leaves_it(site: Path, tmp_path: Path) -> None:
    dom = browsed(tmp_path, copied(site, "environments/prod.html", TYPE), "--virtual-time-budget=5000")
    assert title(dom) == "skip|../runs/night-01.html|1 found|0|search"


def test_site_runs_no_script_but_its_own(site: Path, tmp_path: Path) -> None:
    done = browse(
        tmp_path,
        copied(site, "index.html", "<script>document.title = 'run'</script></body>", policy=True),
        "--dump-dom",
        size=WIDE,
    )
    assert title(done.stdout) == "Dataplane benchmark: all results"
    assert violations(done.stderr)


@pytest.mark.parametrize(
    ("size", "scheme", "is_dark"), [((500, 844), DARK, True), ((1280, 900), LIGHT, False)], ids=["phone", "wide"]
)
def test_pages_fit_and_can_be_read(
    site: Path,
    tmp_path: Path,
    size: tuple[int, int],
    scheme: str,
    is_dark: bool,  # noqa: FBT001
) -> None:
    trend = next(path for path in (site / "trends").iterdir() if ".copy" not in path.name)
    for name in ("index.html", "environments/prod.html", "runs/hostile.html", f"trends/{trend.name}"):
        overflow, ground, contrast = map(
            float, title(browsed(tmp_path, copied(site, name, MEASURE), scheme, size=size)).split()
        )
        assert overflow <= 0, name
        assert (ground < 128) == is_dark, name
        assert contrast > 70, name
