"""Trials while foreign processes use the CPU."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.counters import MODES, CoreTimes, Counters
from steps.domain import Monitor
from steps.measurement.monitors.interference import ForeignCpu, ForeignCpuReading
from tests.steps.builders import placement, trial
from tests.steps.measuring import CHOSEN, Outcome


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
def test_disturbed_trial_is_repeated_twice_at_most_and_then_flagged(
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
    out = Outcome(tmp_path / "raw", place, [trial()], patient, foreign=Others(*ratios))
    (document,) = out.documents
    assert len(document.attempts) == attempts
    assert document.flags == flags
    assert document.attempts[-1].foreign_cpu_ratio == pytest.approx(kept)


def test_foreign_cpu_retries_are_bounded(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    trials = [trial(trial=n) for n in range(1, 5)]
    patient = CHOSEN.model_copy(update={"remeasure_ratio": 0.5})
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), trials, patient, foreign=Others(*[0.9] * 1000))
    counts = [len(d.attempts) for d in out.documents]
    assert counts[0] > 1
    assert counts[-1] == 1
    assert all(d.flags == ("foreign-cpu",) for d in out.documents)


def test_smoke_run_measures_nothing_again_but_flags_it(instead: Callable[[str], Path], tmp_path: Path) -> None:
    """It is to be over soon, however busy the machine is."""
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    assert CHOSEN.profile == "smoke"
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), [trial()], CHOSEN, foreign=Others(*[0.9] * 10))
    assert len(out.documents[0].attempts) == 1
    assert out.documents[0].flags == ("foreign-cpu",)


def test_unknown_foreign_cpu_is_flagged_not_zero(instead: Callable[[str], Path], tmp_path: Path) -> None:
    instead("cat $RECORDED/tcp-forward-3.21.json")
    nowhere = ForeignCpu(host_proc=tmp_path / "none")
    out = Outcome(tmp_path / "raw", placement(gate_foreign_cpu=True), [trial()], CHOSEN, foreign=nowhere)
    assert out.documents[0].flags == ("foreign-cpu-unknown",)
    assert out.documents[0].attempts[0].foreign_cpu_ratio is None


class BusyNode:
    """The counters of a node of 16 cores, of which others use nine tenths for so many seconds."""

    def __init__(self, busy_s: float) -> None:
        self._began_s = time.monotonic()
        self._busy_s = busy_s

    def read(self, monitored: Monitor) -> Counters:
        elapsed_s = time.monotonic() - self._began_s
        used_s = 0.9 * min(elapsed_s, self._busy_s)
        modes = dict.fromkeys(MODES, 0.0) | {"user": used_s, "idle": elapsed_s - used_s}
        cores = tuple(CoreTimes.model_validate(modes) for _ in range(16))
        return Counters(node=monitored.node, at_s=100.0 + elapsed_s, cores=cores)


@pytest.mark.parametrize(("busy_s", "flags"), [(0.0, ()), (0.5, ()), (1e9, ("foreign-cpu",))])
def test_trial_on_a_cluster_waits_for_quiet_nodes_within_its_budget(
    instead: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    busy_s: float,
    flags: tuple[str, ...],
) -> None:
    instead("sleep 0.3; cat $RECORDED/tcp-forward-3.21.json")
    node = BusyNode(busy_s)
    monkeypatch.setattr("steps.measurement.monitors.sampler.read_counters", node.read)
    monkeypatch.setattr("steps.measurement.monitors.node_load.read_counters", node.read)
    monitor = Monitor(node="node-a", side="client", source="http://10.0.0.1:5203/")
    place = placement(gate_foreign_cpu=True, monitors=(monitor,))
    patient = CHOSEN.model_copy(update={"remeasure_ratio": 0.5})
    (document,) = Outcome(tmp_path / "raw", place, [trial()], patient).documents
    assert document.flags == flags
    first, last = document.attempts[0], document.attempts[-1]
    assert first.quiet_wait_s is not None
    assert min(busy_s, 1.0) <= first.quiet_wait_s < 5.0, "until it is quiet, or the budget is spent"
    assert last.foreign_cpu_ratio == (pytest.approx(0.8, abs=0.15) if flags else 0.0)
