"""The end of a run in the terminal, and its exit code, from stored nights whose truth is known."""

import contextlib
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.sql import database
from analysis.store.store import Store
from analysis.summary.run import stored
from analysis.summary.run.summary import Summary
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe
from workflows.cli.tables.summary_table import print_result

SMALL = Recipe(rounds=4, within=0.01, cells=synthetic.QUICK[1:3], entries=ENTRIES[:3])


def announced(root: Path, recipe: Recipe, **changed: tuple[int, float]) -> tuple[int, str]:
    """The exit code of the last of 20 nights and what is printed, analysed as the workflow's report task does."""
    with synthetic.database(root, *synthetic.nights(20, changed, recipe)) as con:
        stored.store_summary(Store(str(root)), synthetic.summarise(con, "night-19"))
    return printed(root, "night-19")


def printed(root: Path, run_id: str, why: str = "") -> tuple[int, str]:
    """The exit code, and what is printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        return print_result(str(root), run_id, "text", why), text.getvalue()


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """A store of nightly runs, and the summary of the last one, with a regression."""
    root = tmp_path_factory.mktemp("slower")
    nights = synthetic.nights(20, {"gamma": (16, 0.8)}, replace(SMALL, trigger="nightly"))
    with synthetic.database(root, *nights) as con:
        return root, synthetic.summarise(con, "night-19")


@pytest.mark.parametrize(("trigger", "code"), [("nightly", 1), ("local", 0), ("submitted", 0)])
def test_regression_is_printed_and_fails_only_a_nightly_run(
    trigger: str, code: int, slower: tuple[Path, Summary]
) -> None:
    root, summary = slower
    stored.store_summary(Store(str(root)), replace(summary, trigger=trigger))
    found, text = printed(root, "night-19")
    assert found == code
    assert "Worse: gamma, since the night of 2026-03-17 (run night-16): " in text
    assert "against alpha −" in text


@pytest.mark.parametrize("columns", [20, 50, 79])
def test_narrow_terminal_loses_no_letter(
    columns: int, slower: tuple[Path, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no dataplane, and of no metric: by letters, since words are folded."""
    root, summary = slower
    stored.store_summary(Store(str(root)), summary)
    monkeypatch.setenv("COLUMNS", "400")
    _, wide = printed(root, "night-19")
    monkeypatch.setenv("COLUMNS", str(columns))
    _, narrow = printed(root, "night-19")
    for dataplane in ("alpha", "beta", "gamma"):
        assert narrow.count(dataplane) >= wide.count(dataplane) > 0
    assert Counter("".join(wide.split())) - Counter("".join(narrow.split())) == Counter()
    assert "…" not in narrow


def test_improvement_and_suspected_change_are_printed(tmp_path: Path) -> None:
    code, text = announced(tmp_path, replace(SMALL, trigger="nightly"), gamma=(15, 1.3), beta=(19, 0.6))
    assert code == 0
    assert "Better: gamma, since the night of 2026-03-16 (run night-15): " in text
    assert "Suspected: beta, in the night of 2026-03-20 (run night-19) alone; one night is no change point yet" in text
    assert not any(line.startswith("Worse: ") for line in text.splitlines())


def test_terminated_run_names_the_report_command(tmp_path: Path) -> None:
    why = "settle: settle.json can't be written: No space left on device"
    code, text = printed(tmp_path, "night-19", why)
    assert code == 1
    assert f"The first step that failed is {why}.\n" in text
    assert f"type `make report RUN=night-19 RESULTS={tmp_path}`." in text


def test_no_change_prints_the_detectable_effect(tmp_path: Path) -> None:
    code, text = announced(tmp_path, replace(SMALL, trigger="nightly"))
    assert code == 0
    assert "Nothing changed from night to night. Searched 8 series of 20 nights since 2026-03-01." in text


def test_error_without_trials_is_printed_with_its_visit(tmp_path: Path) -> None:
    found = synthetic.rows(SMALL)
    last, other = found["visits"][-1], found["visits"][0]
    last["error"] = "the run ended before this visit"
    other["error"] = f"{other['dataplane_requested']}: clear failed: nft: refused"
    for trial in found["trials"]:
        if trial["visit"] == last["visit"]:
            trial |= {"outcome": "not-run", "error": "the run ended before it", "received_bps": None}
    store = Store(str(tmp_path))
    store.write(SMALL.run_id, found)
    with database.connect(store) as con:
        stored.store_summary(store, synthetic.summarise(con, SMALL.run_id))
    _, text = printed(tmp_path, SMALL.run_id)
    failed = [line for line in text.splitlines() if line.startswith("Failed: ")]
    name = other["dataplane_requested"]
    assert failed == [f"Failed: a visit of {name}: {name}: clear failed: nft: refused"]
    assert "The run ended early: 2 of 24 trials never ran." in text


def test_damaged_preflight_is_printed_with_its_trials(tmp_path: Path) -> None:
    found = synthetic.rows(SMALL)
    for row in (*found["trials"], *found["visits"]):
        row["error"] = "preflight.json is cut short or damaged"
    for trial in found["trials"]:
        trial |= {"outcome": "not-run", "received_bps": None}
    store = Store(str(tmp_path))
    store.write(SMALL.run_id, found)
    with database.connect(store) as con:
        stored.store_summary(store, synthetic.summarise(con, SMALL.run_id))
    _, text = printed(tmp_path, SMALL.run_id)
    assert "Failed: 24 x preflight.json is cut short or damaged\n" in text
    assert " 0 x " not in text
