"""The gallery in docs/, and the program that writes it, with a stand-in for the browser."""

import re
from pathlib import Path

import pytest

from analysis import report
from analysis.errors import BadInput, Unsupported
from analysis.report import gallery
from analysis.store.store import Store
from analysis.summary.run import stored
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe

MOST_BYTES = 3_000_000
RECIPE = Recipe(rounds=3, cells=synthetic.QUICK[1:3], entries=ENTRIES[:2])
ENTRIES_THERE = sorted(path.parent for path in gallery.FOLDER.glob("*/README.md"))

BROWSER = """#!/bin/sh
for word; do case $word in --screenshot=*) echo "$@" > "${word#--screenshot=}";; esac; done
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    browser = tmp_path / "bin" / "chromium"
    browser.parent.mkdir()
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{browser.parent}:/usr/bin:/bin")
    store = Store(str(tmp_path / "results"))
    with synthetic.database(tmp_path / "results", RECIPE) as con:
        stored.store_summary(store, synthetic.summarise(con, RECIPE.run_id))
    return store


def test_gallery_entry_has_pages_pictures_and_the_answer_and_is_listed(store: Store, tmp_path: Path) -> None:
    store.write_report(RECIPE.run_id, {"report.html": "<p>a", "report-interactive.html": "<p>b"}, latest=True)
    entry = tmp_path / "gallery" / "lab"
    gallery.write_entry(store, "", entry)
    gallery.write_index(entry.parent)
    assert (entry / "report.html").read_text() == "<p>a"
    assert (entry / "report-interactive.html").read_text() == "<p>b"
    for picture in gallery.PICTURES:
        taken = (entry / picture.file).read_text()
        assert f"--window-size={picture.size[0]},{picture.size[1]}" in taken
        assert taken.strip().endswith(f"/lab/{picture.page}")
        assert ("preferredColorScheme=0" in taken) == picture.dark
    text = (entry / "README.md").read_text()
    assert str(tmp_path) not in text
    verdict = next(line for line in text.splitlines() if line.startswith("**"))
    index = (entry.parent / "README.md").read_text()
    assert verdict in index
    for where, links in ((entry, text), (entry.parent, index)):
        found = re.findall(r"\]\(([^)]+)\)", links)
        assert found
        assert all((where / link).exists() for link in found)


def test_gallery_refuses_a_run_without_pages_or_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="type `make report RUN=run-1"):
        gallery.write_entry(store, RECIPE.run_id, tmp_path / "lab")
    for name in ("run-2", "../run-1"):
        with pytest.raises(BadInput, match="has no analysed run"):
            gallery.write_entry(store, name, tmp_path / "lab")


def test_browser_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ubuntu's script that only names a snap."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, code in (("chromium-browser", 1), ("google-chrome", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    assert gallery.find_browser() == str(tmp_path / "google-chrome")
    (tmp_path / "google-chrome").unlink()
    assert gallery.find_browser() is None


def test_gallery_without_a_browser_names_the_remedy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_report(RECIPE.run_id, {"report.html": "a", "report-interactive.html": "b"}, latest=True)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match="apt-get install chromium"):
        gallery.write_entry(store, RECIPE.run_id, tmp_path / "lab")


def test_gallery_is_small_and_every_entry_is_whole() -> None:
    assert ENTRIES_THERE
    assert sum(path.stat().st_size for path in gallery.FOLDER.rglob("*") if path.is_file()) < MOST_BYTES
    for entry in ENTRIES_THERE:
        files = {path.name for path in entry.iterdir()}
        assert files == {"README.md", report.REPORT, report.INTERACTIVE, *(p.file for p in gallery.PICTURES)}


@pytest.mark.parametrize("entry", ENTRIES_THERE, ids=lambda path: path.name)
def test_gallery_entry_names_no_folder_of_the_machine(entry: Path) -> None:
    for file in (entry / "README.md", entry / report.REPORT):
        assert re.findall(r"[\s>\"'=`](/(?:home|root|srv|tmp|work)/[^\s<]*)", file.read_text()) == []
