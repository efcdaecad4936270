import random
from dataclasses import replace

import pytest

from analysis.domain import Cell
from analysis.stats.estimates.differences import Block, Differences
from analysis.stats.estimates.estimation import estimate_all
from analysis.stats.estimates.moderation import Estimate, Key


def key(cell: int, side: str) -> Key:
    return Cell(f"path {cell}", "iperf3", "tcp", "forward"), ("base", side)


def measured(shift: float = 0.0, runs: tuple[str, ...] = ("one", "two"), rounds: int = 6) -> dict[Key, Differences]:
    """Differences in several runs. `shift`: the standard deviation of what each run has of its own."""
    dice, found = random.Random(3), {}
    for cell in range(6):
        for side in "ab":
            blocks: list[Block] = []
            other: list[float] = []
            for run in runs:
                own = dice.gauss(0.1, shift)
                blocks += [(run, n) for n in range(1, rounds + 1)]
                other += [own + dice.gauss(0, 0.02) for _ in range(rounds)]
            found[key(cell, side)] = Differences("points", tuple(blocks), (0.0,) * len(blocks), tuple(other))
    return found


def as_one_run(found: dict[Key, Differences]) -> dict[Key, Differences]:
    return {k: replace(d, blocks=tuple(("one", n) for n in range(len(d.blocks)))) for k, d in found.items()}


def estimated(found: dict[Key, Differences], order: dict[Block, int] | None = None) -> dict[Key, Estimate]:
    return estimate_all(found, [], 1e-3, order)


def test_shift_of_each_run_widens_the_intervals() -> None:
    """With a shift of 0.1 the mean of two runs is known to 0.07, however many rounds each had."""
    apart = estimated(measured(0.1))
    as_one = estimated(as_one_run(measured(0.1)))
    for k, one in apart.items():
        assert one.mean == as_one[k].mean
        assert one.standard_error == pytest.approx(0.07, rel=0.4)
        assert one.standard_error > 1.3 * as_one[k].standard_error


def test_runs_that_agree_count_as_one() -> None:
    apart = estimated(measured())
    as_one = estimated(as_one_run(measured()))
    assert all(one.standard_error < 1.4 * as_one[k].standard_error for k, one in apart.items())


def test_comparison_with_fewer_rounds_is_judged_by_what_was_known_after_its_last() -> None:
    everything = measured(runs=("one",))
    order = {("one", n): n for n in range(1, 7)}
    until = {k: Differences(d.scale, d.blocks[:3], d.baseline[:3], d.other[:3]) for k, d in everything.items()}
    dropped = {k: until[k] if k[1][1] == "b" else d for k, d in everything.items()}
    then, later = estimated(until, order), estimated(dropped, order)
    assert all(later[k] == then[k] for k in then if k[1][1] == "b")
    assert all(later[k] != then[k] for k in then if k[1][1] == "a")
    without = estimated(dropped)
    assert all(without[k] != then[k] for k in then if k[1][1] == "b")


def test_differences_with_a_zero_rest_on_their_own_rounds() -> None:
    found = measured(runs=("one",))
    odd = Differences("share", found[key(0, "a")].blocks, (1.0,) * 6, (1.0, 0.0, 1.0, 1.0, 0.9, 1.1))
    with_zero = estimated({**found, key(0, "a"): odd})
    without = estimated({k: d for k, d in found.items() if k != key(0, "a")})
    assert with_zero[key(0, "a")].degrees_of_freedom == 5
    assert {k: e for k, e in with_zero.items() if k != key(0, "a")} == without
