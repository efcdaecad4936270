from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.sql import database
from analysis.stats import canaries
from analysis.store.store import Store
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, summarise

SMALL = Recipe(rounds=2, cells=synthetic.QUICK[1:2], entries=ENTRIES[:2])


def summary_notice(root: Path, canary_bps: Sequence[float | None]) -> str | None:
    """The notice of a run of four visits with these canaries, before and after."""
    found = synthetic.rows(SMALL)
    visits: list[dict[str, Any]] = found["visits"]
    assert len(visits) == 4
    for visit, before, after in zip(visits, canary_bps[::2], canary_bps[1::2], strict=True):
        visit |= {"canary_before_bps": before, "canary_after_bps": after}
    store = Store(str(root))
    store.write(SMALL.run_id, found)
    with database.connect(store) as con:
        return summarise(con, SMALL.run_id).notice


def test_identical_canaries_are_reported_as_uninformative(tmp_path: Path) -> None:
    notice = summary_notice(tmp_path, [0.7971e9, 0.7974e9, 0.7969e9, 0.7972e9, 0.797e9, 0.7973e9, 0.7971e9, 0.797e9])
    assert notice is not None
    assert notice.startswith("All 8 canaries measured 0.797 Gbit/s, the same to three digits: ")


@pytest.mark.parametrize("last", [0.799e9, 11.3e9])
def test_canaries_that_differ_in_the_third_digit_give_no_warning(tmp_path: Path, last: float) -> None:
    assert summary_notice(tmp_path, [0.797e9] * 7 + [last]) is None


def test_too_few_canaries_give_no_warning(tmp_path: Path) -> None:
    assert summary_notice(tmp_path, [0.797e9] * 6 + [None, None]) is None


def test_missing_canaries_give_no_warning() -> None:
    assert canaries.constant_canaries([]) is None
