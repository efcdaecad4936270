"""The benchmark of the CPU figures: what it computes from readings, and that a soaker loses what others take."""

import os
import time
from dataclasses import replace

import pytest

from benchmarks.cpu import accounts, calibration, figures
from benchmarks.cpu.accounts import BESIDE, COLUMNS, IDLE_TIME, RESIDENCY, RUN_TIME, SCALED, UPTIME, CpuAccounts
from benchmarks.cpu.calibration import Condition, Window
from benchmarks.cpu.figures import Pair
from benchmarks.cpu.soaker import Progress, Soakers, lost_ratio
from steps.counters import CoreTimes, Counters
from steps.domain import Trial

TRIAL = Trial(
    trial=1, visit=1, position=1, topology="pod-to-pod", tool="iperf3", transport="udp", direction="forward",
    streams=1, offered_bps=3e8, repetition=1, duration_s=2,
)  # fmt: skip
PAIR = Pair("lab-ebpf", "udp", 3e8, lost=0.40, busy={IDLE_TIME: 0.41, COLUMNS: 0.60}, halting=0.05)


def core(**seconds: float) -> CoreTimes:
    return CoreTimes.model_validate(dict.fromkeys(CoreTimes.model_fields, 0.0) | seconds)


def test_cpu_accounts_are_ratios_of_all_cores() -> None:
    before = CpuAccounts(Counters(node="n", at_s=0, cores=(core(), core())), 0.0, 0.0, 0.0)
    cores = (core(idle=1.0, iowait=0.2, softirq=0.4), core(idle=1.2, user=0.4))
    found = accounts.busy(before, CpuAccounts(Counters(node="n", at_s=2, cores=cores), 2.4, 2.0, 1.0))
    assert found == pytest.approx(
        {IDLE_TIME: 0.4, COLUMNS: 0.2, SCALED: 0.8 / 3.2, UPTIME: 0.4, RESIDENCY: 0.5, RUN_TIME: 0.25}
    )


def test_nice_column_is_the_soakers() -> None:
    before = CpuAccounts(Counters(node="n", at_s=0, cores=(core(), core())), 0.0, 0.0, 0.0)
    cores = (core(nice=1.5, softirq=0.5), core(nice=1.9, user=0.1))
    found = accounts.busy_beside(before, replace(before, counters=Counters(node="n", at_s=2, cores=cores)))
    assert found == pytest.approx(0.15)


def test_context_switches_per_second() -> None:
    before = CpuAccounts(Counters(node="n", at_s=1, cores=(core(),)), None, None, None, switches=100)
    after = replace(before, counters=Counters(node="n", at_s=3, cores=(core(),)), switches=500)
    assert accounts.switches_per_s(before, after) == pytest.approx(200)


def test_missing_kernel_account_is_null() -> None:
    before = CpuAccounts(Counters(node="n", at_s=0, cores=(core(),)), None, None, None)
    found = accounts.busy(
        before, replace(before, counters=Counters(node="n", at_s=1, cores=(core(idle=0.5, user=0.5),)))
    )
    assert found.keys() == {IDLE_TIME, COLUMNS, SCALED}
    assert any("not known on this machine" in line for line in figures.verdicts([PAIR]))


def windows(
    alone: float, awake: float, lost: float | None, received_bps: float | None = 3e8
) -> dict[Condition, Window]:
    return {
        "alone": Window(received_bps, 0.0, busy={IDLE_TIME: alone}),
        "awake": Window(received_bps, 0.0, busy={IDLE_TIME: awake}),
        "beside": Window(received_bps, 0.0, busy={BESIDE: awake + 0.2}, lost=lost),
    }


IDLE = windows(0.01, 0.02, 0.03, None)


def test_pair_subtracts_the_idle_windows() -> None:
    made = calibration.pair_of("lab-ebpf", TRIAL, windows(0.41, 0.48, 0.50), IDLE)
    assert made is not None
    assert (made.lost, made.busy[IDLE_TIME], made.halting) == pytest.approx((0.47, 0.46, 0.06))
    assert made.busy[BESIDE] == pytest.approx(0.46), "less what it is beside soakers with nothing sent"
    assert made.conditions[0] == "alone: 0.30 Gbit/s, 0 switches/s"
    assert made.cell == ("lab-ebpf", "udp", "0.3 Gbit/s")


@pytest.mark.parametrize("found", [None, windows(0.4, 0.4, 0.4, None), windows(0.4, 0.4, 0.4, 0.0)])
def test_failed_or_disturbed_trial_is_no_pair(found: dict[Condition, Window] | None) -> None:
    assert calibration.pair_of("lab-ebpf", TRIAL, found, IDLE) is None
    assert calibration.pair_of("lab-ebpf", TRIAL, windows(0.4, 0.4, 0.4), None) is None


def test_cpu_table_and_agreement_verdicts() -> None:
    pairs = [PAIR, replace(PAIR, busy={IDLE_TIME: 0.43, COLUMNS: 0.64})]
    header, row = figures.table(pairs)
    assert header.split()[:5] == ["dataplane", "trial", "pairs", "lost,", "%"]
    assert row.startswith("lab-ebpf      udp 0.3 Gbit/s          2     40.0")
    assert "+2.0 [" in row
    output = {line.partition(":")[0]: line for line in figures.verdicts(pairs)}
    assert "within 3 points in 1 of 1 cells; worst +2.0 points, lab-ebpf udp 0.3 Gbit/s" in output[IDLE_TIME]
    assert "within 3 points in 0 of 1 cells; worst +22.0 points" in output[COLUMNS]


def test_lost_progress_is_a_ratio_of_all_cores() -> None:
    assert lost_ratio(Progress(10.0, (1.0, 0.0)), Progress(12.0, (2.0, 1.0))) == pytest.approx(0.5)


def test_soaker_loses_progress_to_a_busy_program_and_stops() -> None:
    """However busy the machine is: this process runs, so for so long the soaker of its core does not."""
    allowed = os.sched_getaffinity(0)
    with Soakers() as soakers:
        os.sched_setaffinity(0, {soakers.cores[0]})
        try:
            soakers.resume()
            before, used = soakers.read(), time.process_time()
            while time.process_time() - used < 0.3:
                pass
            spent = time.process_time() - used
            while (after := soakers.read()).lost_s[0] - before.lost_s[0] < spent * 0.9:
                assert after.at_s - before.at_s < 60, "it lost less than was taken from it"
                os.sched_yield()
            soakers.pause()
        finally:
            os.sched_setaffinity(0, allowed)
    for pid in soakers.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
