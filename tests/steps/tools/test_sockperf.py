"""What sockperf printed on a real machine, read; and everything that it might print else."""

import json
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.flags import is_voided
from steps.catalogue.tools import SERVED
from steps.tools.failure import Failure
from steps.tools.sockperf import report, sockperf
from steps.tools.sockperf.responses import PERCENTILES, Responses
from steps.tools.sockperf.sockperf import LOADED, TOOL
from steps.tools.tool import FEW, Output, Task, Tool, here
from tests.steps.measuring import free_port
from tests.waiting import until

RECORDED = Path(__file__).parents[1] / "recorded/sockperf"
"""Printed by 3.7 of Debian 12 on two cores, while other programs used them."""

TCP = Task(transport="tcp")
UDP = Task(transport="udp")


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def read(account: object, task: Task = TCP, tool: Tool = TOOL) -> Responses | Failure:
    found = tool.read(task, [], Output(json.dumps(account).encode()))
    assert isinstance(found, Responses | Failure)
    return found


def reason(account: object, task: Task = TCP, tool: Tool = TOOL) -> str:
    found = read(account, task, tool)
    assert isinstance(found, Failure), found
    return found.reason


@pytest.mark.parametrize("task", [TCP, UDP], ids=["tcp", "udp"])
def test_sockperf_figures_are_those_that_it_printed(task: Task) -> None:
    account = recorded(task.transport)
    found = read(account, task)
    assert isinstance(found, Responses)
    text = account["client"]["stdout"]
    for column, printed in {
        "response_p50_s": r"percentile 50\.000 = *([\d.]+)",
        "response_p999_s": r"percentile 99\.900 = *([\d.]+)",
        "response_worst_s": r"<MAX> observation = *([\d.]+)",
    }.items():
        (us,) = re.findall(printed, text)
        assert found.columns[column] == pytest.approx(float(us) * 1e-6), column
    (count,) = re.findall(r"Total (\d+) observations", text)
    assert found.columns["responses"] == int(count)
    assert found.transactions_per_s == pytest.approx(int(count) / found.duration_s)
    assert found.flags == ()
    assert set(found.columns) >= set(TOOL.variants[0].figures)


@pytest.mark.parametrize("tool", LOADED, ids=lambda tool: tool.name)
def test_sockperf_load_is_recorded_as_it_arrived_and_flagged_if_another_was_asked(tool: Tool) -> None:
    found = read(recorded(f"{tool.name}-tcp"), tool=tool)
    assert isinstance(found, Responses)
    assert found.load_bps is not None
    assert found.load_ratio is not None
    asked = int(tool.name[-2:]) / 100
    assert (sockperf.LOAD_OFF in found.flags) == (abs(found.load_ratio - asked) > 0.1)
    before = json.loads(recorded(f"{tool.name}-tcp")["unlimited"]["stdout"])["end"]["sum_received"]["bits_per_second"]
    assert found.load_ratio == pytest.approx(found.load_bps / before)


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("gone-tcp", TCP, "Connection refused"),
        ("gone-udp", UDP, "No messages were received"),
        ("died-tcp", TCP, "forcibly closed by a peer"),
    ],
)
def test_sockperf_server_that_is_gone_is_a_failure_with_its_reason(name: str, task: Task, said: str) -> None:
    assert said in reason(recorded(name), task)


def test_sockperf_trial_without_its_load_is_a_failure() -> None:
    assert "without a limit iperf3: unable to connect" in reason(recorded("no-load"), tool=LOADED[1])
    assert "iperf3 was not run" in reason(recorded("tcp"), tool=LOADED[1])


def test_sockperf_request_without_answer_leaves_the_tail_unknown() -> None:
    found = read(recorded("unanswered-udp"), UDP)
    assert isinstance(found, Responses)
    assert found.flags == (sockperf.UNANSWERED,)
    assert found.response_worst_s is None
    assert found.lost_messages == 1
    assert found.response_p50_s is not None
    assert is_voided(found.flags, "tail")
    assert not is_voided(found.flags, "response")


def test_responses_that_came_twice_void_the_times() -> None:
    found = read(recorded("duplicates-udp"), UDP)
    assert isinstance(found, Responses)
    assert found.duplicate_messages > 0
    assert is_voided(found.flags, "response")


def test_percentile_with_no_observation_above_it_is_null_and_flagged() -> None:
    account = recorded("tcp")
    (count,) = re.findall(r"Total (\d+) observations", account["client"]["stdout"])
    for few, missing in (("999", [False, False, False, True]), ("99", [False, False, True, True])):
        other = json.loads(json.dumps(account).replace(count, few))
        found = read(other)
        assert isinstance(found, Responses)
        assert [getattr(found, name) is None for name in PERCENTILES] == missing
        assert found.flags == (FEW,)


def test_unknown_clock_source_is_flagged() -> None:
    for source in ("hpet", None):
        found = read(recorded("tcp") | {"clock_source": source})
        assert isinstance(found, Responses)
        assert found.flags == (sockperf.CLOCK,)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# TCP", "# UDP", "measured by udp, not by tcp"),
        ("--full-rtt", "--full-log", "half a round trip"),
        ("RunTime=1.0", "RunTime=0.7", "s of the 1 s planned"),
        ("percentile 50.000 =   1", "percentile 50.000 =   91", "contradict each other"),
        ("<MAX> observation", "<MIN> observation", "nowhere"),
        ("percentile 99.900", "percentile 99.000", "twice"),
    ],
)
def test_sockperf_output_of_another_test_or_that_contradicts_itself_is_a_failure(old: str, new: str, said: str) -> None:
    text = json.dumps(recorded("tcp"))
    assert old in text
    assert said in reason(json.loads(text.replace(old, new)))


TEXT = recorded("tcp")["client"]["stdout"]


@given(st.data())
def test_damaged_sockperf_output_is_a_failure_or_has_figures_in_their_order(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TEXT)))
    gone = data.draw(st.integers(0, 40))
    text = TEXT[:place] + data.draw(st.text("0123456789.-=eE \n;", max_size=20)) + TEXT[place + gone :]
    found = report.read(text, "exit code 0")
    if isinstance(found, Failure):
        assert found.reason
        assert "\n" not in found.reason
    else:
        assert [*found.percentiles_us, found.worst_us] == sorted([*found.percentiles_us, found.worst_us])
        assert 0 < found.valid_s <= found.total_s


@given(st.binary(max_size=400), st.one_of(st.none(), st.integers(-15, 255)))
def test_any_output_of_the_program_is_a_failure(stdout: bytes, exit_code: int | None) -> None:
    for tool in (TOOL, *LOADED):
        assert isinstance(tool.read(TCP, [], Output(stdout, b"", exit_code)), Failure)
        assert tool.is_busy(stdout) is False


def test_real_sockperf_measures_beside_a_real_load() -> None:
    port, load_port = free_port(), free_port()
    programs = [here(TOOL.server(port)), ["iperf3", "-s", "-p", str(load_port)]]
    servers = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for argv in programs]
    try:
        for each in (port, load_port):
            until(partial(listens, each))
        tasks = {(TOOL, "udp"): UDP, (LOADED[0], "tcp"): Task(transport="tcp", load_port=load_port)}
        running = []
        for (tool, _), task in tasks.items():
            argv = here(tool.command(task, "127.0.0.1", port))
            running.append((tool, task, argv, subprocess.Popen(argv, stdout=subprocess.PIPE)))
        for tool, task, argv, process in running:
            stdout = process.communicate(timeout=60)[0]
            found = tool.read(task, argv, Output(stdout, b"", process.returncode))
            assert isinstance(found, Responses), found
            assert found.responses > 100
            assert (found.load_ratio is None) == (tool is TOOL)
            assert tool.own_cpu(task, Output(stdout)).client_s
    finally:
        for server in servers:
            server.kill()
            server.wait()


def listens(port: int) -> bool:
    listed = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    return re.search(rf":{port:04X} 0+:0000 0A", listed) is not None


def test_loaded_tools_share_the_server_of_the_one_without_a_load() -> None:
    assert TOOL in SERVED
    assert not {*LOADED} & {*SERVED}
    assert {tool.served_by for tool in LOADED} == {TOOL.name}
