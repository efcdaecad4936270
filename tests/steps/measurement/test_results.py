"""What the connect probe prints, as a trial's figures or as the sentence that says why it has none."""

import json

import pytest

from steps.measurement import results
from steps.tools.failure import Failure
from steps.tools.tcp_connect import Connects
from tests.steps.builders import PROBED, attempt, trial


def found(stdout: str, exit_code: int | None = 0, stderr: str = "") -> Connects | Failure:
    of = results.read_results(trial(protocol="connect"), attempt(stdout=stdout, exit_code=exit_code, stderr=stderr))
    assert isinstance(of, Connects | Failure)
    return of


def test_consistent_connect_probe_result_is_measured() -> None:
    measured = found(json.dumps(PROBED))
    assert isinstance(measured, Connects)
    assert measured.connects_per_s == 100.0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"count": -5}, "the connect probe's figure count is out of bounds"),
        ({"count": 2**64}, "the connect probe's figure count is out of bounds"),
        ({"p99_s": -1.0}, "the connect probe's figure p99_s is out of bounds"),
        ({"connects_per_s": 1e300}, "the connect probe's figure connects_per_s is out of bounds"),
        ({"p50_s": 3e-5}, "the connect probe's figures contradict each other"),
        ({"connects_per_s": 1000.0}, "the connect probe's figures contradict each other"),
        ({"p50_s": None}, "the connect probe counted 25 connects and gives no figures for them"),
        ({"duration_s": 0.0}, "the connect probe counted 25 connects and gives no figures for them"),
        ({"count": 0, "errors": 20, "error": "timed\nout"}, "none of 20 connects succeeded: timed"),
        ({"count": "25"}, "the connect probe's JSON has an unknown form"),
    ],
)
def test_impossible_connect_probe_result_is_a_failure(changed: dict[str, object], reason: str) -> None:
    failure = found(json.dumps({**PROBED, **changed}))
    assert isinstance(failure, Failure)
    assert failure.reason.startswith(reason)
    assert "\n" not in failure.reason


@pytest.mark.parametrize(
    ("stdout", "reason"),
    [
        ("", "the connect probe printed nothing, exit code 1: no route"),
        ("[" * 200_000, "the connect probe's JSON has an unknown form"),
        ('{"x":' + "[" * 200_000, "the connect probe's JSON is nested too deeply to be a report"),
        (json.dumps(PROBED)[:-10], "the connect probe's JSON is cut short after"),
        (json.dumps(PROBED).replace("1e-05", "NaN"), "the connect probe's JSON gives NaN as p50_s, which is no number"),
        (json.dumps(PROBED), "the connect probe ended with exit code 1: no route"),
    ],
)
def test_incomplete_connect_probe_result_is_a_failure(stdout: str, reason: str) -> None:
    failure = found(stdout, exit_code=1, stderr="Traceback\nno route\n")
    assert isinstance(failure, Failure)
    assert failure.reason.startswith(reason)
