"""What must be true with every iperf3 from 3.12 to 3.22: by recorded outputs of each, and by the real ones given."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steps import documents
from steps.domain import Placement, Trial
from steps.measurement import references, results, trials
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output
from tests.steps.builders import RECORDED, attempt, placement, settings, trial
from tests.steps.measuring import Servers
from tests.steps.tools.iperf3_reports import task_of
from tests.steps.tools.iperf3_versions import programs, put_in_place

VERSIONS = ("3.12", "3.18", "3.22")
CHOSEN = settings()


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / "versions" / f"{name}.json").read_bytes())
    return found


def read(name: str) -> IperfReport | Failure:
    found = document(name)
    return iperf3.read(task_of(found), (), Output(json.dumps(found).encode()))


@pytest.mark.parametrize("version", VERSIONS)
def test_canary_duration_in_every_iperf3_version(version: str) -> None:
    argv = iperf3.canary_command(CHOSEN.congestion_control, "10.0.0.1", 5201)
    assert "-n" not in argv
    one = attempt(stdout=json.dumps(document(f"tcp-forward-p1-{version}")), argv=argv)
    found = results.read_canary(one)
    assert isinstance(found, IperfReport)
    assert found.received_bps > 5e9


@pytest.mark.parametrize("version", VERSIONS)
def test_byte_limited_canary_of_older_iperf3_versions(version: str) -> None:
    stdout = json.dumps(document(f"canary-by-bytes-{version}"))
    found = results.read_canary(attempt(stdout=stdout, argv=("iperf3", "-c", "10.0.0.1", "-n", "100000000")))
    if version == "3.12":
        assert isinstance(found, IperfReport)
        assert found.received_bps > 5e9
        return
    assert document(f"canary-by-bytes-{version}")["end"]["sum_received"]["bits_per_second"] < 0.8e9, "the defect"
    assert isinstance(found, Failure)
    assert found.reason == (
        f"iperf {version} ends a test of so many bytes at its next interval only, so it has no rate"
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_intervals_cover_the_trial_once_and_have_its_rate(version: str, direction: str, protocol: str) -> None:
    found = read(f"{protocol}-{direction}-p2-omit-{version}")
    assert isinstance(found, IperfReport)
    counted = [i for i in found.intervals if not i.omitted]
    assert counted[0].offset_s == pytest.approx(1.0, abs=0.1), "the warm-up comes before"
    assert sum(i.duration_s for i in counted) == pytest.approx(found.duration_s, rel=0.08)
    sent = found.sent_bps if direction == "forward" else found.received_bps
    bits = sum((i.bps or 0) * i.duration_s for i in counted)
    assert bits == pytest.approx((sent or 0) * found.duration_s, rel=0.08)


def test_first_interval_after_the_warm_up() -> None:
    first = next(i["sum"] for i in document("udp-forward-p2-omit-3.22")["intervals"] if not i["sum"]["omitted"])
    assert first["bits_per_second"] == pytest.approx(1e8, rel=0.05), "the recorded defect: 200 Mbit/s were sent"
    found = read("udp-forward-p2-omit-3.22")
    assert isinstance(found, IperfReport)
    interval = next(i for i in found.intervals if not i.omitted)
    assert interval.duration_s == pytest.approx(0.5, abs=0.01)
    assert interval.bps == pytest.approx(2e8, rel=0.05)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_stream_with_all_packets_lost_fails_the_trial(version: str, direction: str, protocol: str) -> None:
    name = f"dead-{protocol}-{direction}-{version}"
    assert document(name)["end"]["sum_received"]["bytes"] > 0, "the sum hides it"
    found = read(name)
    assert isinstance(found, Failure)
    if (protocol, direction) == ("udp", "forward"):
        assert found.reason == "as many datagrams as a whole stream of 2 sends never reached the receiver"
    else:
        assert found.reason == "stream 2 of 2 delivered nothing"


def test_iperf3_receiver_that_counted_far_longer_than_planned_is_flagged() -> None:
    found = read("udp-reverse-p2-3.22")
    assert isinstance(found, IperfReport)
    assert found.duration_s > 1.2
    assert found.flags == ("long-receiver",)


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Placement]:
    """A real server of a real version on loopback, and its client first on PATH."""
    put_in_place(request.param, tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    servers = Servers()
    yield placement(port=servers.port, topology="node-to-node", monitors=())
    servers.stop()


def measured(here: Placement, planned: Trial, tmp_path: Path) -> IperfReport:
    trials.measure_trials(here, [planned], CHOSEN, tmp_path / "trials", lambda _: None, lambda *_: None)
    found = documents.read_document(tmp_path / "trials" / documents.trial_name(planned.trial), documents.TrialDocument)
    report = results.read_results(planned, found.attempts[-1])
    assert isinstance(report, IperfReport), report
    return report


@pytest.mark.parametrize("here", programs(), indirect=True)
def test_real_canary_agrees_with_a_trial(here: Placement, tmp_path: Path) -> None:
    trialled = measured(here, trial(), tmp_path)
    references.measure_references(here, [2], CHOSEN, tmp_path, lambda _: None, lambda *_: None)
    one = documents.read_document(tmp_path / documents.trial_name(2), documents.CanaryDocument).attempt
    assert one is not None
    found = results.read_canary(one)
    assert isinstance(found, IperfReport)
    assert 0.25 < found.received_bps / trialled.received_bps < 4, "a constant of 0.8 Gbit/s is a tenth and less"
    assert (one.wall_s or 0) < 3, "it is short"


@pytest.mark.parametrize("here", programs(), indirect=True)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_real_trial_of_two_streams(here: Placement, tmp_path: Path, protocol: str, direction: str) -> None:
    planned = trial(protocol=protocol, direction=direction, streams=2, offered_bps=2e8 if protocol == "udp" else None)
    found = measured(here, planned, tmp_path)
    assert "uneven-streams" not in found.flags
    assert found.received_bps > 5e7
    assert shutil.which("iperf3") == str(tmp_path / "bin" / "iperf3")
