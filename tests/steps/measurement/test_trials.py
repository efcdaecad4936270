"""Trials by the real iperf3 on loopback."""

import queue
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import formatting
from analysis.errors import Problem
from steps.domain import Monitor
from steps.measurement import results
from steps.tools import connect_probe
from steps.tools.iperf3.iperf3 import IperfReport
from tests.steps.builders import placement, settings, trial
from tests.steps.measuring import CHOSEN, Outcome, Servers, busy, free_port, needs_iperf3
from tests.waiting import until


@needs_iperf3
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_real_trial(server: Servers, tmp_path: Path, protocol: str, direction: str) -> None:
    planned = trial(protocol=protocol, direction=direction, offered_bps=1e8 if protocol == "udp" else None)
    out = Outcome(tmp_path, placement(port=server.port, interface="lo"), [planned], CHOSEN)
    (document,) = out.documents
    assert document.error is None
    assert document.mtu_bytes == 65536
    found = results.read_results(planned, document.attempts[-1])
    assert isinstance(found, IperfReport)
    assert found.received_bps > 1e7
    assert found.duration_s == pytest.approx(1, abs=0.1)
    readings, wall_s = document.attempts[-1].readings["host"], document.attempts[-1].wall_s
    assert len(readings) >= 3
    assert wall_s is not None
    assert readings[-1].at_s - readings[0].at_s >= wall_s, "the readings enclose the program"
    assert out.progress == [(0, 1), (1, 1)]
    assert out.said[-1].startswith(f"pod-to-service {protocol} {direction} 1/1: ")
    assert formatting.quantity(found.received_bps, "bit/s") in out.said[-1], "the units of the report"


@needs_iperf3
def test_warm_up_is_left_out(server: Servers, tmp_path: Path) -> None:
    out = Outcome(tmp_path, placement(port=server.port), [trial()], settings(options="omit=1"))
    (attempt,) = out.documents[0].attempts
    assert attempt.window_offset_s == 1
    assert attempt.wall_s is not None
    assert attempt.wall_s > 1.9
    found = results.read_results(trial(), attempt)
    assert isinstance(found, IperfReport)
    assert found.duration_s == pytest.approx(1, abs=0.1)


def test_real_connect_probe(tmp_path: Path) -> None:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=connect_probe.serve, args=(0,), kwargs={"ready": ready.put}, daemon=True).start()
    planned = trial(protocol="connect")
    out = Outcome(tmp_path, placement(connect_port=ready.get(timeout=600)), [planned], settings(options="omit=9"))
    assert out.documents[0].error is None
    assert out.documents[0].attempts[-1].window_offset_s == 0
    assert "99 % within" in out.said[-1]


@needs_iperf3
def test_closed_port_is_a_failed_trial_and_the_next_goes_on(tmp_path: Path) -> None:
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
def test_server_that_vanishes_in_the_middle_is_a_failed_trial(server: Servers, tmp_path: Path) -> None:
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


def test_unwritable_output_folder_is_a_problem(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    (tmp_path / "raw").touch()
    with pytest.raises(Problem, match="can't be written"):
        Outcome(tmp_path / "raw", placement(), [trial()], CHOSEN)
