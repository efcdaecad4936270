"""Trials whose turns go wrong are failed rows with the reason, and the step ends in a sentence."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.measurement.references import measure_references
from steps.measurement.subprocesses import Programs
from steps.measurement.trials import PASSED, measure_trials
from steps.measurement.turns.turn_taker import Turn, TurnTaker
from steps.settings import turn_order
from tests.steps.builders import placement, trial
from tests.steps.measuring import CHOSEN

STEPS = ("host-network", "pod-to-service")
TRIALS = [trial(trial=number, position=number) for number in (1, 2, 3)]


class Scripted(TurnTaker):
    """Gives the turns of some numbers; those of others have passed, or the server of turns is gone."""

    def __init__(self, has: dict[int, int], *, ends: bool = False) -> None:
        super().__init__(None, "pod-to-service", STEPS, 1.0, Programs(), lambda _line: None)
        self._has = has
        self._ends = ends
        self.asked: list[int] = []
        self.has_left = False

    def take(self, number: int, lease_s: float) -> Turn | None:
        del lease_s
        self.asked.append(number)
        if number in self._has:
            return Turn(self._has[number], 1e12)
        if self._ends:
            raise Problem("the server of turns is gone")
        return None

    def leave(self) -> None:
        self.has_left = True


def measured(folder: Path, turns: TurnTaker) -> list[documents.TrialDocument]:
    measure_trials(placement(), TRIALS, CHOSEN, folder, lambda _: None, lambda *_: None, turns=turns)
    return read(folder)


def read(folder: Path) -> list[documents.TrialDocument]:
    return [documents.read_document(folder / documents.trial_name(t.trial), documents.TrialDocument) for t in TRIALS]


def test_trials_are_measured_in_turns_and_keep_their_place(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    turns = Scripted({3: 2, 6: 3, 9: 5})
    found = measured(tmp_path / "raw", turns)
    assert turns.asked == [turn_order.trial_number(t.position) for t in TRIALS]
    assert [(document.turn, document.error) for document in found] == [(2, None), (3, None), (5, None)]
    assert turns.has_left


def test_turn_that_passed_is_a_failed_trial_and_the_next_goes_on(
    instead: Callable[[str], Path], tmp_path: Path
) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    found = measured(tmp_path / "raw", Scripted({3: 2, 9: 5}))
    assert [document.error for document in found] == [None, PASSED, None]
    assert (found[1].turn, found[1].attempts) == (None, ())


def test_vanished_server_of_turns_fails_the_rest_with_its_reason(
    instead: Callable[[str], Path], tmp_path: Path
) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    with pytest.raises(Problem, match="the server of turns is gone"):
        measured(tmp_path / "raw", Scripted({3: 2}, ends=True))
    assert [document.error for document in read(tmp_path / "raw")] == [None, *["the server of turns is gone"] * 2]


def test_reference_whose_turn_passed_is_missing_and_the_others_are_there(
    instead: Callable[[str], Path], tmp_path: Path
) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    turns = Scripted({2: 1, 8: 4})
    measure_references(placement(), [1, 2, 3], CHOSEN, tmp_path / "raw", lambda _: None, lambda *_: None, turns)
    assert turns.asked == [turn_order.reference_number(position) for position in (1, 2, 3)]
    names = sorted(path.name for path in (tmp_path / "raw").iterdir())
    assert names == [documents.trial_name(1), documents.trial_name(3)]
    last = documents.read_document(tmp_path / "raw" / names[1], documents.CanaryDocument)
    assert (last.moment, last.turn) == ("after", 4)


@pytest.mark.parametrize(("trials", "positions"), [(1, (1, 2)), (2, (1, 3)), (3, (1, 2, 4)), (7, (1, 2, 4, 6, 8))])
def test_every_trial_has_a_reference_beside_it(trials: int, positions: tuple[int, ...]) -> None:
    found = turn_order.reference_positions(trials, "prod")
    assert found == positions
    numbers = sorted([*map(turn_order.reference_number, found), *map(turn_order.trial_number, range(1, trials + 1))])
    references = {numbers.index(turn_order.reference_number(position)) for position in found}
    for index in set(range(len(numbers))) - references:
        assert {index - 1, index + 1} & references
    assert {0, len(numbers) - 1} <= references, "the canaries"


@pytest.mark.parametrize("trials", range(1, 30))
def test_references_of_the_lab_are_few(trials: int) -> None:
    found = turn_order.reference_positions(trials, "lab")
    gaps = [after - before for before, after in pairwise(found)]
    assert max(gaps) <= turn_order.LAB_TRIALS_BETWEEN
    assert len(found) <= 1 + -(-trials // turn_order.LAB_TRIALS_BETWEEN)
