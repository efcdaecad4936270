"""Trials by a script in iperf3's place that fails, hangs, floods its outputs or is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from steps import documents
from steps.measurement import trials
from steps.tools import bounds
from tests.steps.builders import placement, trial
from tests.steps.measuring import CHOSEN, Outcome, dead
from tests.waiting import until


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 3", "iperf3 printed nothing, exit code 3"),
        ("kill -9 $$", "iperf3 printed nothing, exit code -9"),
        (
            "echo 'iperf3: unrecognized option' >&2; exit 1",
            "iperf3 printed nothing, exit code 1: iperf3: unrecognized option",
        ),
        ("head -c 900 $RECORDED/tcp-forward-3.21.json", "iperf3's JSON is cut short after 900 bytes, exit code 0"),
        (
            "cat $RECORDED/busy-3.12.json | sed 's/busy/out/'",
            "iperf3: the server is out running a test. try again later",
        ),
        ("cat $RECORDED/refused-3.12.json", "iperf3: unable to connect to server: Connection refused"),
        ("echo hello", "iperf3 printed no JSON but 'hello', exit code 0"),
        ("cat $RECORDED/tcp-forward-3.21.json; exit 1", "iperf3 ended with exit code 1"),
        ("printf '\\377\\376'", "iperf3 printed no JSON but '\\\\xff\\\\xfe', exit code 0"),
        (
            "cat $RECORDED/udp-reverse-3.21.json",
            "iperf3's JSON is of another test than was requested: protocol udp, not tcp; reverse yes, not no",
        ),
        (
            "printf '{\"x\":'; head -c 200000 /dev/zero | tr '\\0' '['; printf '}'",
            "iperf3's JSON is nested too deeply to be a report, exit code 0",
        ),
    ],
)
def test_iperf3_faults_are_failed_trials(
    instead: Callable[[str], Path], tmp_path: Path, script: str, error: str
) -> None:
    instead(script)
    out = Outcome(tmp_path / "raw", placement(), [trial(), trial(trial=2)], CHOSEN)
    assert [d.error for d in out.documents] == [error, error]


def test_short_trial_is_a_failure(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead(r"""sed 's/"duration":\(\s*\)1,/"duration":\12,/' $RECORDED/tcp-forward-3.21.json""")
    out = Outcome(tmp_path / "raw", placement(), [trial(duration_s=2)], CHOSEN)
    assert out.documents[0].error == "iperf3 measured 1 s of the 2 s planned"


@pytest.mark.parametrize("output", ["", ">&2"])
def test_iperf3_with_endless_output_is_killed(instead: Callable[[str], Path], tmp_path: Path, output: str) -> None:
    notes = instead(f"echo $$ >$NOTES/pid; yes 0123456789 | head -c 10000000000 {output}")
    out = Outcome(tmp_path / "raw", placement(), [trial(), trial(trial=2)], CHOSEN)
    assert [d.error for d in out.documents] == ["iperf3 printed more than 4.21 MB and was killed"] * 2
    attempt = out.documents[0].attempts[-1]
    assert len(attempt.stdout) + len(attempt.stderr) == 65_536, "the beginning is kept"
    until(partial(dead, int((notes / "pid").read_text())))


def test_output_limit_grows_with_duration_and_streams() -> None:
    seconds, streams = 3600, 128
    assert bounds.output_bytes(seconds, streams, 1.0) > seconds * streams * 500


def test_step_that_is_killed_leaves_its_trial_as_failed(instead: Callable[[str], Path], tmp_path: Path) -> None:
    notes = instead("echo $$ >$NOTES/pid; sleep 1000")
    program = (
        "import pathlib, sys; from steps.measurement.trials import measure_trials\n"
        "from tests.steps.builders import placement, settings, trial\n"
        "measure_trials(placement(), [trial(), trial(trial=2)], settings(), pathlib.Path(sys.argv[1]), print, print)\n"
    )
    step = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "raw")], stdout=subprocess.DEVNULL)
    until(lambda: (notes / "pid").exists() and (notes / "pid").read_text().strip() != "")
    step.kill()
    step.wait()
    os.kill(int((notes / "pid").read_text()), signal.SIGKILL)
    document = documents.read_document(tmp_path / "raw" / documents.trial_name(1), documents.TrialDocument)
    assert document.attempts == ()
    assert document.error == trials.BEGUN
    assert not (tmp_path / "raw" / documents.trial_name(2)).exists()


def test_hanging_iperf3_is_killed_with_its_children(
    instead: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = instead(
        "trap '' TERM; echo so far; sleep 1000 & echo $! >$NOTES/child; echo $$ >$NOTES/pid; wait; sleep 1000"
    )
    monkeypatch.setattr(trials, "GRACE_S", -0.5)
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert out.documents[0].error == "iperf3 did not end within 0.5 s and was killed"
    assert out.documents[0].attempts[0].stdout == "so far\n", "what it printed is kept"
    for note in ("pid", "child"):
        pid = int((notes / note).read_text())
        until(partial(dead, pid))


@pytest.mark.parametrize("prints", ["sleep 1000", "while :; do echo more; done"])
def test_background_child_holding_pipes_does_not_block(
    instead: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: str
) -> None:
    """It inherits the pipes, so that they never end, though iperf3 has; the trial would take until its timeout."""
    notes = instead(f"({prints}) >&2 & echo $! >$NOTES/child; cat $RECORDED/tcp-forward-3.21.json")
    monkeypatch.setattr(trials, "GRACE_S", 60.0)
    began = time.monotonic()
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert out.documents[0].error is None
    assert time.monotonic() - began < 30
    until(partial(dead, int((notes / "child").read_text())))


def test_background_children_of_iperf3_are_killed(instead: Callable[[str], Path], tmp_path: Path) -> None:
    notes = instead("sleep 1000 >/dev/null 2>&1 & echo $! >$NOTES/child; cat $RECORDED/tcp-forward-3.21.json")
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert out.documents[0].error is None
    until(partial(dead, int((notes / "child").read_text())))


STOPPED = """
import sys, pathlib
from steps.measurement import trials
from analysis.errors import Problem
from tests.steps.builders import placement, settings, trial
try:
    planned = [trial(trial=n, duration_s=60) for n in (1, 2)]
    trials.measure_trials(placement(), planned, settings(), pathlib.Path(sys.argv[1]),
                lambda _: None, lambda *_: None)
except Problem as problem:
    print(problem)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_ends_the_client_and_keeps_documents(
    instead: Callable[[str], Path], tmp_path: Path, number: signal.Signals
) -> None:
    notes = instead(
        "trap 'cat $RECORDED/interrupted-3.12.json; exit 1' TERM\n"
        "echo $$ >$NOTES/.pid; mv $NOTES/.pid $NOTES/pid\nwhile :; do sleep 0.02; done"
    )
    command = [sys.executable, "-c", STOPPED, str(tmp_path / "raw")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until((notes / "pid").exists)
        process.send_signal(number)
        out, error = process.communicate(timeout=600)
    assert (out, error) == ("stopped after 1 of 2 trials of pod-to-service; they are kept\n", "")
    document = documents.read_document(tmp_path / "raw" / documents.trial_name(1), documents.TrialDocument)
    assert document.error == "stopped before it ended"
    assert "interrupt - the client has terminated" in document.attempts[-1].stdout
    assert not (tmp_path / "raw" / documents.trial_name(2)).exists()
    assert dead(int((notes / "pid").read_text()))
