from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.cluster.kube.plugins.calico.felix.log import FelixLog, read_felix_log
from tests.steps.kube import recordings
from tests.steps.kube.recordings import NAMES, NODES, moment, shifted, stamp, switch

EBPF = ("01", "02", "03", "08", "10", "13", "15")


def line(at: str, pid: int, message: str, level: str = "INFO") -> bytes:
    when = moment(f"2026-11-23T{at}Z")
    inner = when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return f"{when.isoformat()} {inner} [{level}][{pid}] felix/daemon.go 1: {message}".encode()


def whole(name: str, node: str) -> FelixLog:
    return read_felix_log(b"\n".join(switch(name).logs[node]))


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("name", NAMES)
def test_felix_log_of_recorded_switches(name: str, node: str) -> None:
    reading = whole(name, node)
    current = reading.current
    assert current is not None
    on_one = {"08": False, "15": None}  # what node-b runs, where it differs from node-a; None: nothing says it
    assert current.in_bpf is (on_one[name[:2]] if node == "node-b" and name[:2] in on_one else name[:2] in EBPF)
    assert not current.gone
    assert current.restart_due is None
    assert current.lost == {}
    starts = {"12": 2, "09": 1 if node == "node-a" else 0, "15": 1 if node == "node-a" else 4}.get(name[:2], 1)
    assert len(reading.starts(switch(name).changed_at)) == starts


def interface(at: str, state: str, index: int, name: str = "vxlan.calico") -> bytes:
    update = f'&intdataplane.ifaceStateUpdate{{Name:"{name}", State:"{state}", Index:{index}}}'
    return line(at, 11324, f"Received interface update msg={update}")


def test_felix_log_shows_an_interface_that_felix_takes_for_deleted() -> None:
    """As recorded where BPF was switched on while the node was busy: the new device came before the old one's end."""
    reading = [
        line("10:00:00", 11324, "Felix starting up"),
        interface("10:00:06", "up", 56),
        interface("10:00:15.1", "down", 72),
        interface("10:00:15.2", "up", 72),
        interface("10:00:15.3", "down", 56),
        interface("10:00:15.4", "", 56),
    ]
    current = read_felix_log(b"\n".join(reading)).current
    assert current is not None
    assert [(name, mark.text) for name, mark in current.lost.items()] == [
        ("vxlan.calico", "it takes vxlan.calico, which is up as number 72, for deleted, as number 56 was")
    ]
    again = read_felix_log(b"\n".join([*reading, interface("10:00:16", "up", 72)])).current
    assert again is not None
    assert again.lost == {}
    gone = read_felix_log(b"\n".join([*reading, interface("10:00:16", "", 72)])).current
    assert gone is not None
    assert gone.lost == {}


@given(states=st.lists(st.tuples(st.sampled_from(["up", "down", ""]), st.integers(1, 3)), max_size=12))
def test_felix_loses_no_interface_whose_ends_come_before_its_starts(states: list[tuple[str, int]]) -> None:
    """Each device of a name ends before the next one of that name is up, or is the last one that was up."""
    in_order, current_index = [], None
    for state, index in states:
        if current_index not in {None, index}:
            in_order.append(("", current_index))
        in_order.append((state, index))
        current_index = None if state == "" else index
    lines = [line("10:00:00", 11324, "Felix starting up")]
    lines += [interface(f"10:00:{second:02}", state, number or 0) for second, (state, number) in enumerate(in_order, 1)]
    current = read_felix_log(b"\n".join(lines)).current
    assert current is not None
    assert current.lost == {}


def test_felix_log_shows_dsr_of_driver_and_programs() -> None:
    for name, expected in (("01-iptables-to-ebpf", False), ("02-ebpf-to-dsr", True), ("03-dsr-to-ebpf", False)):
        for node in NODES:
            current = whole(name, node).current
            assert current is not None
            assert (current.driver_dsr, current.attached_dsr) == (expected, expected)


def test_felix_log_shows_bpf_fallback_and_resulting_dataplane() -> None:
    current = whole("08-node-b-kernel-too-old-falls-back", "node-b").current
    assert current is not None
    assert current.fallback is not None
    assert "4.19.0-27" in current.fallback.text
    assert current.first_update is not None  # which proves nothing, then
    assert current.in_bpf is False


def test_felix_log_shows_an_old_bpf_fallback() -> None:
    current = whole("09-back-from-mixed", "node-b").current
    assert current is not None
    assert (current.started_at, current.driver_bpf) == (None, None)
    assert current.fallback is not None
    assert current.in_bpf is False


def test_felix_log_separates_nftables_from_iptables() -> None:
    for name, expected in (
        ("11-iptables-to-nftables-by-kube-proxy-mode", True),
        ("12-nftables-to-iptables-felix-panics-once", False),
    ):
        for node in NODES:
            current = whole(name, node).current
            assert current is not None
            assert current.use_nftables is expected


@pytest.mark.parametrize("node", NODES)
def test_felix_log_shows_a_crash_after_the_first_update(node: str) -> None:
    recorded = switch("12-nftables-to-iptables-felix-panics-once")
    reading = whole(recorded.name, node)
    (panic,) = reading.panics(recorded.changed_at)
    crashed = reading.processes[-2]
    assert crashed.first_update is not None
    assert crashed.first_update.at < panic.at
    assert crashed.gone
    assert reading.processes[-1].panic is None


def test_felix_settings_have_their_source_and_dropped_lines_are_counted() -> None:
    current = whole("02-ebpf-to-dsr", "node-a").current
    assert current is not None
    assert current.values["BPFExternalServiceMode"].value == "dsr"
    assert current.values["BPFExternalServiceMode"].source == "datastore (global)"
    assert current.dropped == 145


def test_felix_log_lines_of_an_earlier_switch_are_ignored() -> None:
    earlier, later = switch("01-iptables-to-ebpf"), switch("04-ebpf-to-iptables")
    for node in NODES:
        reading = read_felix_log(b"\n".join(earlier.logs[node] + later.logs[node]))
        current = reading.current
        assert current is not None
        assert current.in_bpf is False
        assert not current.bpf


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)  # of each recording
@given(data=st.data())
def test_felix_log_repeated_switch_changes_nothing(name: str, data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(NODES))
    older = data.draw(st.sampled_from(NAMES))
    lines = switch(name).logs[node]
    prefix = switch(older).logs[node]
    by = stamp(lines[0]) - stamp(prefix[-1]) - timedelta(seconds=data.draw(st.integers(2, 1000)))
    current = read_felix_log(b"\n".join((*shifted(prefix, by), *lines))).current
    alone = whole(name, node).current
    assert current is not None
    assert alone is not None
    if alone.started_at is None:
        return  # nothing of this log tells its process from the one before
    assert (current.pid, current.started_at, current.in_bpf, current.driver_dsr, current.use_nftables) == (
        alone.pid,
        alone.started_at,
        alone.in_bpf,
        alone.driver_dsr,
        alone.use_nftables,
    )


@given(st.binary(max_size=400))
def test_felix_log_of_any_bytes_is_read(log: bytes) -> None:
    read_felix_log(log)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)  # of each recording
@given(data=st.data())
def test_felix_log_cut_anywhere_is_read(name: str, data: st.DataObject) -> None:
    log = b"\n".join(switch(name).logs["node-b"])
    ends = sorted(data.draw(st.tuples(*[st.integers(0, len(log))] * 2)))
    read_felix_log(log[ends[0] : ends[1]])


def test_felix_restart_is_seen_without_its_log_line() -> None:
    log = [
        line("07:00:00", 7, "Successfully loaded configuration."),
        line(
            "07:00:01", 7, "Creating internal dataplane driver. config=X{BPFEnabled:true, BPFNodePortDSREnabled:true}"
        ),
        line("07:10:00", 7, "Parsed value for BPFExternalServiceMode: tunnel (from datastore (global))"),
    ]
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert current.restart_due == "it has read BPFExternalServiceMode tunnel, and runs without it"
    log.append(line("07:10:01", 7, "Parsed value for BPFEnabled: false (from datastore (global))"))
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert current.restart_due == "it has read BPFEnabled false, and runs with true"


def test_felix_pid_reuse_is_another_process() -> None:
    start, driver = "Successfully loaded configuration.", "Creating internal dataplane driver. config=X{BPFEnabled:%s}"
    first = [line("07:00:00", 45, start), line("07:00:01", 45, driver % "true")]
    again = [line("07:05:00", 45, start), line("07:05:01", 45, driver % "false")]
    reading = read_felix_log(b"\n".join([*first, line("07:04:00", 45, "Exiting for config change"), *again]))
    assert [p.in_bpf for p in reading.processes] == [True, False]
    reading = read_felix_log(b"\n".join([*first, *again]))  # the line of its end is lost, or there was none
    assert [p.in_bpf for p in reading.processes] == [True, False]


def test_felix_process_older_than_the_log_ends_at_pid_reuse() -> None:
    log = [
        line("07:00:00", 45, "Parsed value for BPFEnabled: true (from datastore (global))"),
        line("07:00:03", 45, "Successfully loaded configuration."),
        line("07:00:04", 45, "Creating internal dataplane driver. config=X{BPFEnabled:true}"),
    ]
    reading = read_felix_log(b"\n".join(log))
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
def test_felix_driver_without_requested_bpf_is_a_fallback(lines: str, *, fell: bool) -> None:
    messages = ["Successfully loaded configuration.", *lines.split("|")]
    messages += ["Creating internal dataplane driver. config=X{BPFEnabled:false}"]
    log = [line(f"07:00:0{at}", 45, message) for at, message in enumerate(messages)]
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert (current.fallback is not None) is fell


def test_felix_configuration_change_after_driver_start_is_no_fallback() -> None:
    log = [
        line("07:00:00", 45, "Successfully loaded configuration."),
        line("07:00:01", 45, "Creating internal dataplane driver. config=X{BPFEnabled:false}"),
        line("07:00:09", 45, "Parsed value for BPFEnabled: true (from datastore (global))"),
    ]
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert current.fallback is None
    assert current.restart_due == "it has read BPFEnabled true, and runs with false"


def test_felix_late_line_of_the_previous_process_is_no_start() -> None:
    reading = read_felix_log(
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


def test_felix_log_with_only_warnings_has_no_signs() -> None:
    log = [line("07:00:00", 45, "Exiting for config change"), line("07:00:01", 99, "hm", "WARNING")]
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert current.quiet
    log.append(line("07:00:02", 99, "well"))
    current = read_felix_log(b"\n".join(log)).current
    assert current is not None
    assert not current.quiet


def test_felix_log_timestamps_with_offset_or_without_api_prefix() -> None:
    inner = b"2026-11-23 07:00:00.250 [INFO][9] felix/daemon.go 1: Successfully loaded configuration."
    for log, at in (
        (inner, "2026-11-23T07:00:00.250Z"),
        (b"2026-11-23T09:00:00.250123456+02:00 " + inner, "2026-11-23T07:00:00.250123Z"),
    ):
        current = read_felix_log(log).current
        assert current is not None
        assert current.first_at == moment(at)


def test_felix_log_ignores_other_programs_of_the_container() -> None:
    log = (
        b"2026-11-23T07:00:00Z 2026-11-23 07:00:00.250 [INFO][9] confd/client.go 1: Successfully loaded configuration."
    )
    assert read_felix_log(log).current is None


def test_felix_recordings_are_complete() -> None:
    assert len(recordings.NAMES) == 13


@pytest.mark.parametrize(("table", "expected"), [("calico", True), ("filter", False), ("calico-arp", None)])
def test_chains_of_a_new_pod_show_nftables_or_iptables(*, table: str, expected: bool | None) -> None:
    said = f'Chain became referenced, marking it for programming chainName="c" ipVersion=0x4 table="{table}"'
    current = read_felix_log(line("08:00:00", 7, said)).current
    assert current is not None
    assert current.use_nftables is expected
