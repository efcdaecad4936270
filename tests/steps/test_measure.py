"""Trials by the real iperf3 on loopback, and by programs put in its place that do what iperf3 does on a bad day."""

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.catalogue.options import Settings
from steps.domain import Monitor, Placement, Trial
from steps.measurement import results
from steps.measurement import trials as measure
from steps.measurement.interference import ForeignCpu, ForeignCpuReading
from steps.tools import bounds, connect_probe
from steps.tools.failure import Failure
from steps.tools.iperf3 import Report
from tests.steps.builders import RECORDED, placement, settings, trial

needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        pause.wait(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether a server listens, without a connection that an iperf3 server would take for a client's."""
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in lines)


class Servers:
    def __init__(self) -> None:
        self.port = free_port()
        command = ["iperf3", "-s", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: listens(self.port))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in iperf3's place; returns a directory that it can leave notes in, as $NOTES."""
    programs, notes = tmp_path / "bin", tmp_path / "notes"
    programs.mkdir()
    notes.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("RECORDED", str(RECORDED))

    def put(script: str) -> Path:
        (programs / "iperf3").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "iperf3").chmod(0o755)
        return notes

    return put


class Outcome:
    """What a run of `measure.run` left."""

    def __init__(
        self, directory: Path, place: Placement, trials: list[Trial], chosen: Settings, **more: object
    ) -> None:
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []
        others = more.get("others")
        assert others is None or isinstance(others, ForeignCpu)
        measure.measure_trials(
            place,
            trials,
            chosen,
            directory,
            self.said.append,
            lambda done, total: self.progress.append((done, total)),
            others=others,
        )
        self.documents = [
            documents.read_document(directory / documents.trial_name(t.trial), documents.TrialDocument) for t in trials
        ]


CHOSEN = settings()


@needs_iperf3
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_real_trial(server: Servers, tmp_path: Path, protocol: str, direction: str) -> None:
    planned = trial(protocol=protocol, direction=direction, offered_bps=1e8 if protocol == "udp" else None)
    out = Outcome(tmp_path, placement(port=server.port, interface="lo"), [planned], CHOSEN)
    (document,) = out.documents
    assert document.error is None
    assert document.mtu_bytes == 65536
    found = results.read_results(planned, document.attempts[-1])
    assert isinstance(found, Report)
    assert found.received_bps > 1e7
    assert found.duration_s == pytest.approx(1, abs=0.1)
    readings = document.attempts[-1].readings["host"]
    assert len(readings) >= 3
    assert readings[-1].at_s - readings[0].at_s == pytest.approx(document.attempts[-1].wall_s, abs=0.2)
    assert out.progress == [(0, 1), (1, 1)]
    assert out.said[-1].startswith(f"pod-to-service {protocol} {direction} 1/1: ")
    assert "Gbit/s" in out.said[-1]


@needs_iperf3
def test_a_warm_up_is_left_out(server: Servers, tmp_path: Path) -> None:
    out = Outcome(tmp_path, placement(port=server.port), [trial()], settings(options="omit=1"))
    (attempt,) = out.documents[0].attempts
    assert attempt.window_offset_s == 1
    assert attempt.wall_s is not None
    assert attempt.wall_s > 1.9
    found = results.read_results(trial(), attempt)
    assert isinstance(found, Report)
    assert found.duration_s == pytest.approx(1, abs=0.1)


def test_a_real_connect_probe(tmp_path: Path) -> None:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=connect_probe.serve, args=(0,), kwargs={"ready": ready.put}, daemon=True).start()
    planned = trial(protocol="connect")
    out = Outcome(tmp_path, placement(connect_port=ready.get(timeout=10)), [planned], settings(options="omit=9"))
    assert out.documents[0].error is None
    assert out.documents[0].attempts[-1].window_offset_s == 0
    assert "99 % within" in out.said[-1]


@needs_iperf3
def test_a_closed_port_is_a_failed_trial_and_the_next_goes_on(tmp_path: Path) -> None:
    closed = Outcome(
        tmp_path / "a",
        placement(port=free_port(), connect_port=free_port()),
        [trial(), trial(trial=2, protocol="connect")],
        CHOSEN,
    )
    # 3.18 puts advice between the two: "server may have stopped running or use a different port, firewall issue, etc."
    assert re.fullmatch(r"iperf3: unable to connect to server.*: Connection refused", str(closed.documents[0].error))
    assert "Connection refused" in str(closed.documents[1].error)
    assert closed.progress[-1] == (2, 2)
    assert closed.said[0] == f"pod-to-service tcp forward 1/2: failed: {closed.documents[0].error}"


@needs_iperf3
def test_a_server_that_vanishes_in_the_middle_is_a_failed_trial(server: Servers, tmp_path: Path) -> None:
    def vanish() -> None:
        connected = Path("/proc/net/tcp")
        until(lambda: any(busy(line, server.port) for line in connected.read_text().splitlines()[1:]))
        server.process.kill()

    killer = threading.Thread(target=vanish)
    killer.start()
    out = Outcome(tmp_path, placement(port=server.port), [trial(duration_s=3)], CHOSEN)
    killer.join()
    assert str(out.documents[0].error).startswith("iperf3")
    assert out.documents[0].attempts[-1].stdout


def busy(line: str, port: int) -> bool:
    fields = line.split()
    return fields[3] == "01" and fields[2].endswith(f":{port:04X}")


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
            "iperf3's JSON is of another test than was asked for: protocol udp, not tcp; reverse yes, not no",
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


def test_a_step_that_is_killed_leaves_its_trial_as_failed(instead: Callable[[str], Path], tmp_path: Path) -> None:
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
    assert document.error == measure.BEGUN
    assert not (tmp_path / "raw" / documents.trial_name(2)).exists()


def test_an_iperf3_that_hangs_is_killed_with_its_children(
    instead: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = instead(
        "trap '' TERM; echo so far; sleep 1000 & echo $! >$NOTES/child; echo $$ >$NOTES/pid; wait; sleep 1000"
    )
    monkeypatch.setattr(measure, "GRACE_S", -0.5)
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
    monkeypatch.setattr(measure, "GRACE_S", 60.0)
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


def dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_missing_iperf3_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert out.documents[0].error == "iperf3 is missing: install it"


def test_busy_server_is_retried(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead(
        "test -e $NOTES/again || { touch $NOTES/again; cat $RECORDED/busy-3.12.json; exit; }\n"
        "cat $RECORDED/tcp-forward-3.21.json"
    )
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert out.documents[0].error is None
    assert len(out.documents[0].attempts) == 1


RESET = "unable to receive control message - port may not be available, etc.: Connection reset by peer"
"""What 3.18 says where a busy server resets the connection before its answer is read."""


@pytest.mark.parametrize(("connected", "attempted"), [("", 2), ('{"socket": 5}', 1)])
def test_connection_reset_is_retried_only_before_connecting(
    instead: Callable[[str], Path], tmp_path: Path, connected: str, attempted: int
) -> None:
    document = f'{{"start": {{"connected":\t[{connected}]}}, "intervals": [], "end": {{}}, "error": "{RESET}"}}'
    notes = instead(
        f"echo >>$NOTES/calls; [ $(wc -l <$NOTES/calls) = 2 ] || {{ echo '{document}'; exit 1; }}\n"
        "cat $RECORDED/tcp-forward-3.21.json"
    )
    out = Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
    assert len((notes / "calls").read_text()) == attempted
    assert (out.documents[0].error is None) == (attempted == 2)


def test_lost_monitor_is_flagged(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    monitors = (
        Monitor(node="host", side="client", source="local"),
        Monitor(node="gone", side="server", source="http://127.0.0.1:1/"),
    )
    nat = Monitor(node="nat", side="nat", source="netns:no-such")
    out = Outcome(tmp_path / "raw", placement(monitors=monitors, nat_monitor=nat), [trial()], CHOSEN)
    (document,) = out.documents
    assert document.error is None
    assert set(document.attempts[0].readings) == {"host"}
    assert document.attempts[0].nat == ()
    assert document.flags == (
        "monitor-lost: the monitor at http://127.0.0.1:1/ does not answer: [Errno 111] Connection refused",
    )


class Others(ForeignCpu):
    """Others that use a given share of the machine in each window, one after another."""

    def __init__(self, *ratios: float) -> None:
        super().__init__()
        self._ratios = list(ratios)
        self._at_s = self._foreign_s = 0.0
        self._open = False

    def read(self) -> ForeignCpuReading:
        if self._open:
            self._at_s += 1
            self._foreign_s += self._ratios.pop(0) if self._ratios else 0.0
        self._open = not self._open
        return ForeignCpuReading(self._at_s, 1, self._foreign_s)


@pytest.mark.parametrize(
    ("ratios", "attempts", "flags", "kept"),
    [
        ((0.0,), 1, (), 0.0),
        ((0.5, 0.0, 0.0), 2, (), 0.0),
        ((0.5, 0.0, 0.6, 0.0, 0.7), 3, ("foreign-cpu",), 0.7),
    ],
)
def test_a_disturbed_trial_is_repeated_twice_at_most_and_then_flagged(
    instead: Callable[[str], Path],
    tmp_path: Path,
    ratios: tuple[float, ...],
    attempts: int,
    flags: tuple[str, ...],
    kept: float,
) -> None:
    # Each trial reads one window; each wait for quiet after a disturbed one reads another.
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    place = placement(gate_foreign_cpu=True)
    patient = CHOSEN.model_copy(update={"remeasure_ratio": 0.5})
    out = Outcome(tmp_path / "raw", place, [trial()], patient, others=Others(*ratios))
    (document,) = out.documents
    assert len(document.attempts) == attempts
    assert document.flags == flags
    assert document.attempts[-1].foreign_cpu_ratio == pytest.approx(kept)


def test_foreign_cpu_retries_are_bounded(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    trials = [trial(trial=n) for n in range(1, 5)]
    patient = CHOSEN.model_copy(update={"remeasure_ratio": 0.5})
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), trials, patient, others=Others(*[0.9] * 1000))
    counts = [len(d.attempts) for d in out.documents]
    assert counts[0] > 1
    assert counts[-1] == 1
    assert all(d.flags == ("foreign-cpu",) for d in out.documents)


def test_a_smoke_run_measures_nothing_again_but_flags_it(instead: Callable[[str], Path], tmp_path: Path) -> None:
    """It is to be over soon, however busy the machine is."""
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    assert CHOSEN.profile == "smoke"
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), [trial()], CHOSEN, others=Others(*[0.9] * 10))
    assert len(out.documents[0].attempts) == 1
    assert out.documents[0].flags == ("foreign-cpu",)


def test_unknown_foreign_cpu_is_flagged_not_zero(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    nowhere = ForeignCpu(host_proc=tmp_path / "none")
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), [trial()], CHOSEN, others=nowhere)
    assert out.documents[0].flags == ("foreign-cpu-unknown",)
    assert out.documents[0].attempts[0].foreign_cpu_ratio is None


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
        out, error = process.communicate(timeout=30)
    assert (out, error) == ("stopped after 1 of 2 trials of pod-to-service; they are kept\n", "")
    document = documents.read_document(tmp_path / "raw" / documents.trial_name(1), documents.TrialDocument)
    assert document.error == "stopped before it ended"
    assert "interrupt - the client has terminated" in document.attempts[-1].stdout
    assert not (tmp_path / "raw" / documents.trial_name(2)).exists()
    assert dead(int((notes / "pid").read_text()))


def test_unwritable_output_folder_is_a_problem(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    (tmp_path / "raw").touch()
    with pytest.raises(Problem, match="can't be written"):
        Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)


@needs_iperf3
def test_real_canary_measures_the_idle_baseline_first(server: Servers, tmp_path: Path) -> None:
    said: list[str] = []
    place = placement(port=server.port, topology="node-to-node")
    measure.canary(place, CHOSEN, "before", tmp_path / "before", said.append)
    measure.canary(place, CHOSEN, "after", tmp_path / "after", said.append)
    before = documents.read_document(tmp_path / "before" / documents.CANARY, documents.CanaryDocument)
    after = documents.read_document(tmp_path / "after" / documents.CANARY, documents.CanaryDocument)
    idle = before.idle["host"]
    assert len(idle) == 2
    assert idle[1].at_s - idle[0].at_s == pytest.approx(CHOSEN.idle_s, abs=0.2)
    assert after.idle == {}
    for document in (before, after):
        assert document.attempt is not None
        assert isinstance(results.read_canary(document.attempt), Report)
    assert said[0].startswith("canary before: ")


def test_failed_canary_is_recorded(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("exit 1")
    measure.canary(placement(), CHOSEN, "after", tmp_path / "raw", lambda _: None)
    document = documents.read_document(tmp_path / "raw" / documents.CANARY, documents.CanaryDocument)
    assert document.error == "iperf3 printed nothing, exit code 1"
    assert document.attempt is not None
    assert isinstance(results.read_canary(document.attempt), Failure)
