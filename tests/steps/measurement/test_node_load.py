"""What others use on the nodes of a cluster: the nodes' own time less that of the measuring programs."""

from collections.abc import Sequence

import pytest

from steps.counters import CoreTimes, Counters
from steps.domain import Monitor
from steps.measurement.monitors.node_load import others_ratio
from steps.tools import tcp_connect
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.document import IperfDocument, parse
from steps.tools.tool import Output, OwnCpu, Task
from tests.steps.builders import RECORDED

CLIENT = Monitor(node="a", side="client", source="http://10.0.0.1:5203/")
SERVER = Monitor(node="b", side="server", source="http://10.0.0.2:5203/")
BOTH = CLIENT.model_copy(update={"side": "both"})
NAT = CLIENT.model_copy(update={"side": "nat"})
IDLE = dict.fromkeys(("user", "nice", "system", "iowait", "irq", "softirq", "steal", "idle"), 10.0)


def window(node: str, *, machine: str | None = None, seconds: float = 10.0, **used_s: float) -> Sequence[Counters]:
    """Two readings of a node of two cores, between which the modes of its first core grew by so much."""
    cores = (CoreTimes(**IDLE), CoreTimes(**IDLE))
    later = (CoreTimes(**{**IDLE, **{mode: 10.0 + s for mode, s in used_s.items()}}), cores[1])
    return (
        Counters(node=node, at_s=100.0, cores=cores, machine=machine),
        Counters(node=node, at_s=100.0 + seconds, cores=later, machine=machine),
    )


@pytest.mark.parametrize(
    ("monitors", "own", "expected"),
    [
        pytest.param((CLIENT, SERVER), OwnCpu(4.0, 1.0), 0.1, id="the node where others use most"),
        pytest.param((CLIENT,), OwnCpu(4.0, 1.0), 0.1, id="the client's share is of its node"),
        pytest.param((SERVER,), OwnCpu(4.0, 1.0), 0.05, id="the server's is of the other"),
        pytest.param((BOTH,), OwnCpu(4.0, 1.0), 0.05, id="one node of both has both"),
        pytest.param((CLIENT, SERVER), OwnCpu(9.0, 9.0), 0.0, id="not below nothing"),
        pytest.param((CLIENT, SERVER), OwnCpu(None, 1.0), 0.05, id="a node whose program is unknown is left out"),
        pytest.param((BOTH,), OwnCpu(4.0, None), None, id="unknown"),
        pytest.param((CLIENT, SERVER), None, 0.3, id="nothing of its own runs"),
        pytest.param((NAT, SERVER), OwnCpu(4.0, 1.0), 0.3, id="no program runs on the node of a NodePort"),
    ],
)
def test_others_are_what_the_measuring_programs_are_not(
    monitors: tuple[Monitor, ...], own: OwnCpu | None, expected: float | None
) -> None:
    readings = {
        "a": window("a", user=1.0, nice=1.0, system=4.0, softirq=3.0, irq=1.0),
        "b": window("b", user=0.5, system=1.5, softirq=5.0),
    }
    found = others_ratio(monitors, readings, own, None)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("client", "expected"), [("m", 0.05), ("elsewhere", 0.25)])
def test_nodes_of_one_machine_have_both_programs_in_their_counters(client: str, expected: float) -> None:
    """As those of kind and of a lab of virtual nodes; without that each would take the other's program for others."""
    readings = {node: window(node, machine="m", system=6.0) for node in ("a", "b")}
    assert others_ratio((CLIENT, SERVER), readings, OwnCpu(4.0, 1.0), None) == pytest.approx(0.05)
    found = others_ratio((NAT, SERVER), readings, OwnCpu(4.0, 1.0), client)
    assert found == pytest.approx(expected), "a client outside is on the machine of the nodes, or on another"


@pytest.mark.parametrize("readings", [{}, {"a": window("a")[:1]}, {"a": window("a", seconds=0.0)}])
def test_node_load_without_two_readings_is_unknown(readings: dict[str, Sequence[Counters]]) -> None:
    assert others_ratio((CLIENT,), readings, OwnCpu(0.0, 0.0), None) is None


def test_iperf3_reports_shares_of_one_core_over_the_whole_test() -> None:
    output = Output((RECORDED / "cluster-tcp-pod-to-pod-3.12.json").read_bytes())
    found = iperf3.own_cpu(Task(transport="tcp", duration_s=5, omit_s=1), output)
    shares = parse(output.stdout)
    assert isinstance(shares, IperfDocument)
    cpu = shares.end.cpu_utilization_percent
    assert cpu is not None
    assert cpu.host_system is not None
    assert cpu.host_user is not None
    assert found.client_s == pytest.approx(6 * (cpu.host_user + cpu.host_system) / 100)
    assert 0.1 < (found.client_s or 0) < 6
    assert 0.1 < (found.server_s or 0) < 6


NEGATIVE = b'{"end": {"cpu_utilization_percent": {"host_user": -9, "host_system": 1}}}'


@pytest.mark.parametrize("stdout", [b"", b"{}", NEGATIVE])
def test_iperf3_without_usable_shares_is_unknown(stdout: bytes) -> None:
    assert iperf3.own_cpu(Task(transport="tcp"), Output(stdout)) == OwnCpu()


def test_connect_probe_reports_its_own_time() -> None:
    report = b'{"connects_per_s":4,"p50_s":1,"p99_s":1,"count":1,"errors":0,"error":null,"duration_s":0.25,"cpu_s":0.2}'
    assert tcp_connect.own_cpu(Task(transport="tcp"), Output(report)) == OwnCpu(client_s=0.2)
    assert tcp_connect.own_cpu(Task(transport="tcp"), Output(report.replace(b',"cpu_s":0.2', b""))) == OwnCpu()
