from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.cluster.kube import felix
from tests.steps.kube import recordings
from tests.steps.kube.recordings import NAMES, NODES, moment, shifted, stamp, switch

EBPF = ("01", "02", "03", "10")


def line(at: str, pid: int, message: str, level: str = "INFO") -> bytes:
    when = moment(f"2026-11-23T{at}Z")
    inner = when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return f"{when.isoformat()} {inner} [{level}][{pid}] felix/daemon.go 1: {message}".encode()


def whole(name: str, node: str) -> felix.Reading:
    return felix.read(b"\n".join(switch(name).logs[node]))


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_switch_ends_in_the_process_that_it_ended_in(name: str, node: str) -> None:
    reading = whole(name, node)
    current = reading.current
    assert current is not None
    assert current.in_bpf is (name[:2] in EBPF or (name.startswith("08") and node == "node-a"))
    assert not current.gone
    assert current.restart_due is None
    starts = {"12": 2, "09": 1 if node == "node-a" else 0}.get(name[:2], 1)
    assert len(reading.starts(switch(name).changed_at)) == starts


def test_direct_server_return_is_read_from_the_driver_and_from_the_programs() -> None:
    for name, expected in (("01-iptables-to-ebpf", False), ("02-ebpf-to-dsr", True), ("03-dsr-to-ebpf", False)):
        for node in NODES:
            current = whole(name, node).current
            assert current is not None
            assert (current.driver_dsr, current.attached_dsr, current.in_dsr) == (expected,) * 3


def test_a_fallback_is_seen_and_the_dataplane_that_results() -> None:
    current = whole("08-node-b-kernel-too-old-falls-back", "node-b").current
    assert current is not None
    assert current.fallback is not None
    assert "4.19.0-27" in current.fallback.text
    assert current.first_update is not None  # which proves nothing, then
    assert current.in_bpf is False


def test_a_fallback_is_seen_long_after_it_happened() -> None:
    current = whole("09-back-from-mixed", "node-b").current
    assert current is not None
    assert (current.started_at, current.driver_bpf) == (None, None)
    assert current.fallback is not None
    assert current.in_bpf is False


def test_nftables_is_told_from_iptables() -> None:
    for name, expected in (
        ("11-iptables-to-nftables-by-kube-proxy-mode", True),
        ("12-nftables-to-iptables-felix-panics-once", False),
    ):
        for node in NODES:
            current = whole(name, node).current
            assert current is not None
            assert current.use_nftables is expected


@pytest.mark.parametrize("node", NODES)
def test_a_crash_after_the_first_update_is_seen(node: str) -> None:
    recorded = switch("12-nftables-to-iptables-felix-panics-once")
    reading = whole(recorded.name, node)
    (panic,) = reading.panics(recorded.changed_at)
    crashed = reading.processes[-2]
    assert crashed.first_update is not None
    assert crashed.first_update.at < panic.at
    assert crashed.gone
    assert reading.processes[-1].panic is None


def test_values_bear_their_source_and_drops_are_counted() -> None:
    current = whole("02-ebpf-to-dsr", "node-a").current
    assert current is not None
    assert current.values["BPFExternalServiceMode"].value == "dsr"
    assert current.values["BPFExternalServiceMode"].source == "datastore (global)"
    assert current.dropped == 145


def test_lines_of_an_earlier_switch_do_not_count() -> None:
    earlier, later = switch("01-iptables-to-ebpf"), switch("04-ebpf-to-iptables")
    for node in NODES:
        reading = felix.read(b"\n".join(earlier.logs[node] + later.logs[node]))
        current = reading.current
        assert current is not None
        assert current.in_bpf is False
        assert not current.bpf


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_the_same_switch_before_it_changes_nothing(name: str, data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(NODES))
    older = data.draw(st.sampled_from(NAMES))
    lines = switch(name).logs[node]
    prefix = switch(older).logs[node]
    by = stamp(lines[0]) - stamp(prefix[-1]) - timedelta(seconds=data.draw(st.integers(2, 1000)))
    current = felix.read(b"\n".join((*shifted(prefix, by), *lines))).current
    alone = whole(name, node).current
    assert current is not None
    assert alone is not None
    if alone.started_at is None:
        return  # nothing of this log tells its process from the one before
    assert (current.pid, current.started_at, current.in_bpf, current.in_dsr, current.use_nftables) == (
        alone.pid,
        alone.started_at,
        alone.in_bpf,
        alone.in_dsr,
        alone.use_nftables,
    )


@given(st.binary(max_size=400))
def test_any_bytes_are_read(log: bytes) -> None:
    felix.read(log)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_bytes_cut_anywhere_are_read(name: str, data: st.DataObject) -> None:
    log = b"\n".join(switch(name).logs["node-b"])
    ends = sorted(data.draw(st.tuples(*[st.integers(0, len(log))] * 2)))
    felix.read(log[ends[0] : ends[1]])


def test_a_restart_due_shows_where_the_line_that_says_so_is_lost() -> None:
    log = [
        line("07:00:00", 7, "Successfully loaded configuration."),
        line(
            "07:00:01", 7, "Creating internal dataplane driver. config=X{BPFEnabled:true, BPFNodePortDSREnabled:true}"
        ),
        line("07:10:00", 7, "Parsed value for BPFExternalServiceMode: tunnel (from datastore (global))"),
    ]
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert current.restart_due == "it has read BPFExternalServiceMode tunnel, and runs without it"
    log.append(line("07:10:01", 7, "Parsed value for BPFEnabled: false (from datastore (global))"))
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert current.restart_due == "it has read BPFEnabled false, and runs with true"


def test_a_process_number_that_comes_again_is_another_process() -> None:
    start, driver = "Successfully loaded configuration.", "Creating internal dataplane driver. config=X{BPFEnabled:%s}"
    first = [line("07:00:00", 45, start), line("07:00:01", 45, driver % "true")]
    again = [line("07:05:00", 45, start), line("07:05:01", 45, driver % "false")]
    reading = felix.read(b"\n".join([*first, line("07:04:00", 45, "Exiting for config change"), *again]))
    assert [p.in_bpf for p in reading.processes] == [True, False]
    reading = felix.read(b"\n".join([*first, *again]))  # the line of its end is lost, or there was none
    assert [p.in_bpf for p in reading.processes] == [True, False]


def test_a_process_older_than_the_log_ends_where_one_of_its_number_begins() -> None:
    log = [
        line("07:00:00", 45, "Parsed value for BPFEnabled: true (from datastore (global))"),
        line("07:00:03", 45, "Successfully loaded configuration."),
        line("07:00:04", 45, "Creating internal dataplane driver. config=X{BPFEnabled:true}"),
    ]
    reading = felix.read(b"\n".join(log))
    assert [process.started_at is None for process in reading.processes] == [True, False]
    assert reading.current is not None
    assert reading.current.in_bpf is True


@pytest.mark.parametrize(
    ("lines", "fell"),
    [
        ("Parsed value for BPFEnabled: true (from datastore (global))", True),
        ("Parsed value for BPFEnabled: false (from datastore (global))", False),
        # what is read first wins, as the environment does
        (
            (
                "Parsed value for BPFEnabled: true (from datastore (global))|Skipping config value for BPFEnabled from "
                "datastore (global); already have a value from environment variable"
            ),
            False,
        ),
        (
            "Skipping config value for BPFEnabled from datastore (global); already have a value from internal override",
            True,
        ),
    ],
)
def test_a_driver_made_without_the_bpf_that_was_asked_for_is_a_fallback(lines: str, *, fell: bool) -> None:
    said = ["Successfully loaded configuration.", *lines.split("|")]
    said += ["Creating internal dataplane driver. config=X{BPFEnabled:false}"]
    log = [line(f"07:00:0{at}", 45, message) for at, message in enumerate(said)]
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert (current.fallback is not None) is fell


def test_a_configuration_that_changed_after_the_driver_was_made_is_no_fallback() -> None:
    log = [
        line("07:00:00", 45, "Successfully loaded configuration."),
        line("07:00:01", 45, "Creating internal dataplane driver. config=X{BPFEnabled:false}"),
        line("07:00:09", 45, "Parsed value for BPFEnabled: true (from datastore (global))"),
    ]
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert current.fallback is None
    assert current.restart_due == "it has read BPFEnabled true, and runs with false"


def test_a_late_line_of_the_process_before_is_not_a_new_start() -> None:
    reading = felix.read(
        b"\n".join(
            [
                line("07:00:00.0", 45, "Exiting for config change"),
                line("07:00:00.1", 99, "Successfully loaded configuration."),
                line("07:00:00.2", 45, "something of its end"),
                line("07:00:03.0", 99, "Completed first update to dataplane."),
            ]
        )
    )
    assert [p.pid for p in reading.processes] == [45, 99]
    assert reading.current is not None
    assert reading.current.first_update is not None


def test_nothing_but_warnings_is_called_quiet() -> None:
    log = [line("07:00:00", 45, "Exiting for config change"), line("07:00:01", 99, "hm", "WARNING")]
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert current.quiet
    log.append(line("07:00:02", 99, "well"))
    current = felix.read(b"\n".join(log)).current
    assert current is not None
    assert not current.quiet


def test_times_with_an_offset_and_lines_without_the_apis_times_are_understood() -> None:
    inner = b"2026-11-23 07:00:00.250 [INFO][9] felix/daemon.go 1: Successfully loaded configuration."
    assert felix.read(inner).first_at == moment("2026-11-23T07:00:00.250Z")
    assert felix.read(b"2026-11-23T09:00:00.250123456+02:00 " + inner).first_at == moment("2026-11-23T07:00:00.250123Z")


def test_other_programs_of_the_container_are_passed_over() -> None:
    log = (
        b"2026-11-23T07:00:00Z 2026-11-23 07:00:00.250 [INFO][9] confd/client.go 1: Successfully loaded configuration."
    )
    assert felix.read(log).current is None


def test_recordings_are_whole() -> None:
    assert len(recordings.NAMES) == 10
