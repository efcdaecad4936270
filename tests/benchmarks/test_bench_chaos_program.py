"""`make chaos` as a program: sessions that go on, the table whatever ends one, and exit codes."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.errors import Problem
from benchmarks import program
from benchmarks.chaos import __main__ as chaos
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import Point
from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico
from tests.workflows.fake_argo import person
from workflows.deployment.user_client import UserClient
from workflows.submission import submit


class Session:
    """The program on a cluster where each point comes to `outcome`, but for those that `fails` ends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes = folder / "chaos.jsonl"
        self.tried: list[str] = []
        self.runs = 0
        self.fails: Callable[[int], None] = lambda _number: None
        self.outcome = {"struck_at": "settle", "back_s": 1.0, "took_s": 60.0}
        client = person(Calico().store, NAMESPACE)
        monkeypatch.setattr(UserClient, "of", lambda *_given, **_more: client)
        monkeypatch.setattr(submit, "checked_settings", lambda _client, asked: asked.chosen("prod", str(folder)))
        monkeypatch.setattr(chaos, "find_namespace", lambda _client: NAMESPACE)
        monkeypatch.setattr(chaos, "use_deployment", lambda context: context)
        monkeypatch.setattr(chaos, "KubernetesCluster", lambda *_, **__: SimpleNamespace(restore_for_user=None))
        monkeypatch.setattr(chaos, "Runner", self._runner)

    def _runner(self, *given: object) -> SimpleNamespace:
        fields = given[3]
        assert callable(fields)

        def run(group: Sequence[Point], seed: int) -> list[PointOutcome]:
            form: Mapping[str, str] = fields(group)
            assert form["profile"] == "smoke"
            assert form["topologies"] == "pod-to-service"
            self.fails(len(self.tried))
            self.tried += [point.name for point in group]
            self.runs += 1
            common = {"seed": seed, "run": "r", **self.outcome}
            return [PointOutcome.model_validate({"point": point.name, **common}) for point in group]

        return SimpleNamespace(run=run)

    def __call__(self, **flags: object) -> int:
        """The exit code of a session."""
        return chaos.chaos(chaos.ChaosFlags(outcomes=self.outcomes, **flags))  # type: ignore[arg-type]


@pytest.fixture
def one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    return Session(tmp_path, monkeypatch)


def test_same_command_goes_on_where_it_stopped(one_session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_session(points=3) == 0
    first = capsys.readouterr()
    assert "0 of 3 points are judged; 3 points left." in first.err
    assert one_session(points=3) == 0
    again = capsys.readouterr()
    assert len(one_session.tried) == 3, "judged points are not tried again"
    table = [line for line in first.out.splitlines() if line.startswith("| ")]
    assert len(table) == 2 + 3
    assert table == [line for line in again.out.splitlines() if line.startswith("| ")]
    assert one_session(points=5) == 0
    assert len(set(one_session.tried)) == 5
    assert "3 of 5 points are judged; 2 points left, about 2 min." in capsys.readouterr().err
    assert one_session(points=3, seed=2) == 0
    assert len(one_session.tried) == 8, "another seed has other points"


def test_points_of_one_run_when_that_is_asked(one_session: Session) -> None:
    assert one_session(points=30, together=4) == 0
    assert len(set(one_session.tried)) == 30
    assert one_session.runs < 30


def test_missed_points_are_tried_again_when_that_is_asked(one_session: Session) -> None:
    one_session.outcome["back_s"] = 500.0
    assert one_session(points=2) == 1
    one_session.outcome["back_s"] = 5.0
    assert one_session(points=2) == 1, "what was judged stays so"
    assert one_session(points=2, again=True) == 0
    assert one_session.tried == one_session.tried[:2] * 2


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        (Problem("prod: nothing answers."), 1, "prod: nothing answers."),
        (KeyboardInterrupt(), 130, "Interrupted. A run that is at work ends by itself"),
    ],
)
def test_table_is_printed_whatever_ends_a_session(
    end: BaseException,
    code: int,
    says: str,
    one_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise end

    one_session.fails = fail
    monkeypatch.setattr(sys, "argv", ["chaos"])
    assert program.exit_code(lambda: one_session(points=3), chaos._INTERRUPTED) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert "1 of 1 points struck" in printed.out
    assert printed.out.count(one_session.tried[0]) == 2, "a line when it was judged, and one in the table"


def test_flags_of_the_command_line_reach_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[chaos.ChaosFlags] = []

    def take(flags: chaos.ChaosFlags = chaos._DEFAULTS) -> int:
        seen.append(flags)
        return 0

    argv = [
        "--points=7",
        "--only=stop@*",
        "--rounds=4",
        "--minutes=60",
        "--again=true",
        "--together=4",
        "--retried=true",
    ]
    monkeypatch.setattr(sys, "argv", ["chaos", *argv])
    assert program.exit_code(take) == 0
    (flags,) = seen
    assert (flags.points, flags.only, flags.rounds, flags.minutes, flags.again) == (7, "stop@*", 4, 60.0, True)
    assert (flags.together, flags.retried) == (4, True)
    monkeypatch.setattr(sys, "argv", ["chaos", "--points=many"])
    assert program.exit_code(take) == 2
    assert "points" in capsys.readouterr().err.lower()
