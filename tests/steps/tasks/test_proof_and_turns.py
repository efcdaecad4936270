"""The steps of a visit that prove its dataplane, before and after its trials, and its turns."""

import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from analysis.errors import Problem
from steps import documents
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster.port import Cluster
from steps.domain import Change, Moment, Placement, ScaleSign, Sign, SwitchCost, Visit
from steps.measurement.monitors import monitor_http
from steps.measurement.turns.turn_taker import Turn
from steps.proof import wait
from steps.settings import schedule, turn_order
from steps.tasks import clear, configure, retreat, settle
from steps.tasks.shared.turns import turns_of
from tests.steps.builders import NODES, settings, sign

CHOSEN = settings(dataplanes="lab-iptables")
(VISIT,) = schedule.make_schedule(CHOSEN.model_copy(update={"rounds": 1}))
MEASURING = turn_order.steps(VISIT)
COST = SwitchCost(
    connections=6,
    dropped=1,
    tcp_longest_gap_s=2.0,
    udp_longest_gap_s=None,
    udp_sent_packets=None,
    udp_lost_packets=None,
)


class Fake:
    """A cluster that shows `dataplane`, and notes what is asked of it, in order."""

    def __init__(self, source: str | None, dataplane: str = "lab-iptables") -> None:
        self.source, self.dataplane = source, dataplane
        self.unready = ""
        self.no_servers = ""
        self.stuck = False
        self.calls: list[str] = []
        self.measured_nodes = NODES

    def observe(self, _visit: Visit, moment: Moment) -> list[Sign]:
        self.calls.append(f"observe {moment}")
        found = [sign(node, self.dataplane, moment=moment) for node in NODES]
        if self.dataplane != VISIT.dataplane:
            found = [each.model_copy(update={"looked_at": wait.FOR_GOOD}) for each in found]
        return found

    def cost(self, *, final: bool) -> SwitchCost | None:
        self.calls.append("final cost" if final else "cost so far")
        return COST if final else None

    def rest(self) -> None:
        self.calls.append("rest")

    def turns(self, _visit: Visit) -> str | None:
        return self.source

    def await_servers(self, _visit: Visit) -> None:
        if self.unready:
            raise Problem(self.unready)

    def count_scale(self, *_: object) -> list[ScaleSign]:
        self.calls.append("count scale")
        return []

    def await_turn(self, *_: object) -> None:
        self.calls.append("await turn")

    def configure(self, *_: object) -> list[Change]:
        self.calls.append("configure")
        return []

    def retreat(self, *_: object) -> list[Change]:
        self.calls.append("retreat")
        if self.stuck:
            raise Problem("the API is away")
        return []

    def clear(self, _visit: Visit) -> None:
        self.calls.append("clear")

    def await_switch(self, *_: object) -> None:
        self.calls.append("await switch")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def prepare(self, _visit: Visit, _settings: Settings, meanwhile: Callable[[], None]) -> list[Placement]:
        self.calls.append("create servers")
        meanwhile()
        if self.no_servers:
            raise Problem(self.no_servers)
        self.calls.append("servers have addresses")
        return []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    ready: queue.Queue[int] = queue.Queue()
    threading.Thread(target=monitor_http.serve, args=(0, ready.put), daemon=True).start()
    made = Fake(f"http://127.0.0.1:{ready.get(timeout=10)}/")
    for task in (settle, retreat, clear, configure):
        monkeypatch.setattr(task, "connect_cluster", lambda _environment: cast("Cluster", made))
    return made


def measure(fake: Fake) -> "queue.Queue[object]":
    """Start every measuring step, each with one turn; what each gets."""
    ended: queue.Queue[object] = queue.Queue()

    def once(step: str, number: int) -> None:
        own = turns_of(fake.source, step, VISIT, CHOSEN)
        try:
            ended.put(own.take(number, 10.0))
            own.leave()
        except Problem as problem:
            ended.put(str(problem))

    for number, step in enumerate(MEASURING):
        threading.Thread(target=once, args=(step, number), daemon=True).start()
    return ended


def run(step: object, tmp_path: Path, *phases: str) -> documents.Evidence:
    path = tmp_path / "document.json"
    step(CHOSEN.model_dump_json(), "01", *phases, path)  # type: ignore[operator]
    return documents.read_document(path, documents.Evidence)


def test_turns_begin_after_the_proof_and_end_with_clear(fake: Fake, tmp_path: Path) -> None:
    ended = measure(fake)
    clearing: list[documents.Evidence] = []
    last = threading.Thread(
        target=lambda: clearing.append(run(clear.clear, tmp_path / "clear", "Succeeded")), daemon=True
    )
    (tmp_path / "clear").mkdir()
    last.start()
    with pytest.raises(queue.Empty):
        ended.get(timeout=0.3)
    assert fake.calls == []
    found = run(settle.settle, tmp_path)
    assert found.proof is not None
    assert found.proof.state == "proven"
    assert fake.calls[:3] == ["observe before", "cost so far", "rest"], "nothing observes when the first trial begins"
    assert all(isinstance(ended.get(timeout=10), Turn) for _ in MEASURING)
    last.join(10)
    assert fake.calls[-3:] == ["final cost", "observe after", "clear"]
    (after,) = clearing
    assert (found.cost, after.cost) == (None, COST)


def test_measuring_steps_end_at_once_where_the_dataplane_is_not_proven(fake: Fake, tmp_path: Path) -> None:
    fake.dataplane = "lab-ebpf"
    ended = measure(fake)
    with pytest.raises(SystemExit):
        settle.settle(CHOSEN.model_dump_json(), "01", tmp_path / "settle.json")
    for _ in MEASURING:
        assert str(ended.get(timeout=10)).startswith("lab-iptables is not proven: node-a: ")
    run(clear.clear, tmp_path, "Succeeded")
    assert fake.calls[-2:] == ["observe after", "clear"]


def test_way_back_refuses_turns_that_the_unproven_network_kept_settle_from_refusing(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.dataplane = "lab-ebpf"
    ended = measure(fake)
    with monkeypatch.context() as broken:
        broken.setattr(fake, "source", f"unix:{tmp_path}/unreachable")
        began_s = time.monotonic()
        with pytest.raises(SystemExit):
            settle.settle(CHOSEN.model_dump_json(), "01", tmp_path / "settle.json")
        assert time.monotonic() - began_s < 10, "the way back waits for it"
    with pytest.raises(queue.Empty):
        ended.get(timeout=0.3)
    retreat.retreat(CHOSEN.model_dump_json(), "01", tmp_path / "retreat.json")
    for _ in MEASURING:
        assert ended.get(timeout=10) == "lab-iptables is not proven: its proof failed, and it was left"
    run(clear.clear, tmp_path, "Succeeded")
    assert fake.calls[-2:] == ["observe after", "clear"]


def test_way_back_that_fails_refuses_the_turns_too(fake: Fake, tmp_path: Path) -> None:
    fake.stuck = True
    ended = measure(fake)
    with pytest.raises(SystemExit):
        retreat.retreat(CHOSEN.model_dump_json(), "01", tmp_path / "retreat.json")
    assert documents.read_document(tmp_path / "retreat.json", documents.Configure).error == "the API is away"
    for _ in MEASURING:
        assert str(ended.get(timeout=10)).startswith("lab-iptables is not proven: ")


def test_measuring_steps_end_with_the_reason_where_a_server_does_not_start(fake: Fake, tmp_path: Path) -> None:
    fake.unready = "server: ErrImagePull"
    ended = measure(fake)
    found = run(settle.settle, tmp_path)
    assert found.proof is not None
    assert (found.proof.state, found.error) == ("proven", None), "the dataplane itself needs no retreat"
    for _ in MEASURING:
        assert ended.get(timeout=10) == "server: ErrImagePull"


def test_visit_without_servers_is_proven_but_fails_and_is_cleared_without_waiting(fake: Fake, tmp_path: Path) -> None:
    """The switch is made, so that its proof tells whether it must be left."""
    fake.source, fake.no_servers = None, "server: InvalidImageName"
    configured = configure.configure(
        CHOSEN.model_dump_json(), "01", tmp_path / documents.CONFIGURE, tmp_path / documents.PREPARE
    )
    assert (configured.measures, configured.scaled) == ([], configure.UNSCALED)
    before = ["await turn", "configure", "await switch", "create servers", "count scale"]
    assert fake.calls == [*before, "clear"], "half of the servers would keep the visit waiting"
    assert documents.read_document(tmp_path / documents.CONFIGURE, documents.Configure).error is None
    prepared = documents.read_document(tmp_path / documents.PREPARE, documents.Prepare)
    assert prepared.error == "server: InvalidImageName"
    with pytest.raises(SystemExit):
        settle.settle(CHOSEN.model_dump_json(), "01", tmp_path / documents.SETTLE)
    settled = documents.read_document(tmp_path / documents.SETTLE, documents.Evidence)
    assert settled.proof is not None
    assert settled.proof.state == "proven"
    run(clear.clear, tmp_path, "Succeeded")
    assert fake.calls[-1] == "clear"


@pytest.mark.parametrize("policies", [0, 5])
def test_policies_are_counted_where_servers_run_and_services_while_they_start(
    fake: Fake, policies: int, tmp_path: Path
) -> None:
    chosen = CHOSEN.model_copy(update={"scales": (Scale(services=3, policies=policies),)})
    assert schedule.make_schedule(chosen)[0].trials[0].scale.policies == policies
    configure.configure(chosen.model_dump_json(), "01", tmp_path / documents.CONFIGURE, tmp_path / documents.PREPARE)
    last = ["servers have addresses", "count scale"] if policies else ["count scale", "servers have addresses"]
    assert fake.calls == ["await turn", "configure", "await switch", "create servers", *last]
    prepared = documents.read_document(tmp_path / documents.PREPARE, documents.Prepare)
    assert prepared.scale is not None
    assert prepared.scale.error is None


@pytest.mark.parametrize("configured", ["Failed", "Error"])
def test_visit_without_measuring_steps_is_cleared_without_waiting_for_any(
    fake: Fake, configured: str, tmp_path: Path
) -> None:
    clearing = threading.Thread(target=lambda: run(clear.clear, tmp_path, configured), daemon=True)
    clearing.start()
    clearing.join(10)
    assert fake.calls == ["final cost", "observe after", "clear"]


def test_proof_document_that_can_not_be_kept_is_not_waited_for(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = measure(fake)
    monkeypatch.setattr(fake, "prepare", lambda *_: ())
    too_long = tmp_path / "no" / ("long" * 99)
    with pytest.raises(SystemExit):
        settle.settle(CHOSEN.model_dump_json(), "01", too_long)
    with pytest.raises(SystemExit):
        configure.configure(CHOSEN.model_dump_json(), "01", tmp_path / documents.CONFIGURE, too_long)
    assert fake.calls[-1] == "clear"
    for _ in MEASURING:
        assert "can't be written" in str(ended.get(timeout=10))
