import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.sql import database
from analysis.stats.verdicts import canaries
from analysis.stats.verdicts.canaries import VisitReference, visits_off
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


def references(*bps: Sequence[float], dataplane: str = "ebpf", first: int = 1) -> list[VisitReference]:
    return [VisitReference(visit, dataplane, tuple(each)) for visit, each in enumerate(bps, first)]


def test_visit_off_its_dataplanes_others_is_named_with_the_figures() -> None:
    """The lab's host network moves by 45 % with the dataplane, which makes no visit of either off."""
    slow = references([3.0e9], [3.1e9], [3.05e9], dataplane="iptables", first=11)
    found = visits_off([*references([5.2e9, 5.3e9], [5.1e9], [5.2e9], [3.6e9, 3.7e9]), *slow])
    assert found == {4: "the host network had 3.65 Gbit/s, 30 % less than in the other visits of ebpf (5.20 Gbit/s)"}


@pytest.mark.parametrize(
    "measured",
    [
        [[5.2e9], [3.6e9]],  # one other visit
        [[5.2e9], [5.2e9], [4.9e9], [5.2e9]],  # within a tenth
        [[5.2e9], [3.6e9], [4.4e9], [6.1e9], [5.0e9]],  # all of them vary
        [[5.2e9], [], [0.0], [5.1e9]],
        [],
    ],
)
def test_visits_that_are_not_off(measured: list[list[float]]) -> None:
    assert visits_off(references(*measured)) == {}


def test_good_visits_are_rarely_off() -> None:
    dice = random.Random(4)
    fired = 0
    for _ in range(300):
        drift = [dice.gauss(0, 0.03) for _ in range(6)]
        run = [
            VisitReference(10 * r + a, f"dataplane {a}", (5e9 * math.exp(drift[r] + dice.gauss(0, 0.04)),))
            for r in range(6)
            for a in range(3)
        ]
        fired += len(visits_off(run))
    assert fired / (300 * 18) < 0.01


def test_missing_canaries_give_no_warning() -> None:
    assert canaries.constant_canaries([]) is None
