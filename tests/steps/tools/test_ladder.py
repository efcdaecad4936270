"""The UDP ladder: its search against simulated loss, its client against a stand-in, and what is read of its output."""

import json
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.catalogue.tools import BY_NAME
from steps.settings.schedule import make_schedule, planned_time
from steps.tools.failure import Failure
from steps.tools.ladder import client, search, udp_ladder
from steps.tools.ladder.client import Climb, ClimbRequest
from steps.tools.ladder.search import PROBES, RESOLUTION_RATIO, LadderResult, Probe, next_offer, result
from steps.tools.ladder.udp_ladder import Ladder
from steps.tools.tool import Output, Task
from tests.steps.builders import settings

BOUND = 0.001
SIZE = 512
TASK = Task(transport="udp", duration_s=1)


def measured(offered_bps: float | None, most_bps: float, capacity_bps: float) -> Probe:
    """A probe over a path that carries so much, by a sender that can offer so much."""
    sent_bps = min(offered_bps or most_bps, most_bps)
    packets = round(sent_bps / 8 / SIZE)
    arrived = min(packets, round(capacity_bps / 8 / SIZE))
    return Probe(offered_bps, sent_bps, arrived * 8 * SIZE, packets, packets - arrived, 1.0)


def searched(probe: Callable[[float | None], Probe], bound: float = BOUND) -> tuple[list[Probe], LadderResult | None]:
    probes: list[Probe] = []
    while offer := next_offer(probes, bound):
        probes.append(probe(offer.bps))
    return probes, result(probes, bound)


def rate(found: LadderResult) -> float:
    return sum(probe.received_bps for probe in found.probes) / len(found.probes)


capacities = st.floats(1e7, 1e10)


@given(capacities, st.floats(1.01, 1.9))
def test_ladder_finds_the_rate_of_a_path_to_its_resolution(capacity: float, surplus: float) -> None:
    probes, found = searched(lambda offered: measured(offered, surplus * capacity, capacity))
    assert found is not None
    assert capacity / (1 + RESOLUTION_RATIO) * 0.99 <= rate(found) <= capacity * 1.002
    assert found.is_exact
    assert len(probes) <= PROBES
    assert not found.is_sender_limited


@given(capacities, st.floats(0.1, 1))
def test_ladder_sender_slower_than_the_path_is_flagged_and_is_no_loss(most: float, share: float) -> None:
    probes, found = searched(lambda offered: measured(offered, most, most / share))
    assert found is not None
    assert found.is_sender_limited
    assert rate(found) == pytest.approx(most, rel=0.01)
    assert len(probes) == 2, "it is confirmed, and nothing above it can be offered"


@given(capacities, st.floats(1.05, 20), st.floats(0, 0.03), st.integers(0, 2**32))
def test_noise_neither_prolongs_the_search_nor_finds_more_than_arrives(
    capacity: float, surplus: float, noise: float, seed: int
) -> None:
    random = Random(seed)
    probes, found = searched(
        lambda offered: measured(offered, surplus * capacity, capacity * (1 + random.gauss(0, noise)))
    )
    assert len(probes) <= PROBES
    if found is not None:
        assert rate(found) <= capacity * (1 + 6 * noise) * 1.002
        losses = sorted(probe.loss_ratio for probe in found.probes)
        assert losses[(len(losses) - 1) // 2] <= BOUND, "most of its probes were within the bound"


@given(capacities, st.floats(0.002, 0.5))
def test_ladder_of_a_path_that_loses_at_every_rate_has_no_rate(most: float, loss: float) -> None:
    def probe(offered: float | None) -> Probe:
        sent = offered or most
        return Probe(offered, sent, sent * (1 - loss), 10**6, round(10**6 * loss), 1.0)

    assert searched(probe)[1] is None


def test_ladder_rate_survives_one_unlucky_probe() -> None:
    probes = [measured(None, 2e9, 1e9), Probe(9e8, 9e8, 9e8, 10**6, 2_000, 1.0)]
    assert next_offer(probes, BOUND) == search.Offer(9e8), "twice the bound may be chance"
    probes.append(measured(9e8, 2e9, 1e9))
    assert next_offer(probes, BOUND) == search.Offer(9e8), "one against one decides nothing"
    probes.append(measured(9e8, 2e9, 1e9))
    found = result(probes, BOUND)
    assert found is not None
    assert {probe.offered_bps for probe in found.probes} == {9e8}


def document(argv: list[str], capacity_bps: float, most_bps: float) -> bytes:
    """What iperf3 prints of a probe."""
    asked = int(argv[argv.index("-b") + 1])
    probe = measured(float(asked) or None, most_bps, capacity_bps)
    block = int(argv[argv.index("-l") + 1])
    sums = {"seconds": 1.0, "start": 0, "end": 1.0}
    sent = {**sums, "bytes": probe.sent_packets * SIZE, "bits_per_second": probe.sent_packets * SIZE * 8}
    arrived = probe.sent_packets - probe.lost_packets
    received = {**sums, "bytes": arrived * SIZE, "bits_per_second": arrived * SIZE * 8}
    counts = {"packets": probe.sent_packets, "lost_packets": probe.lost_packets, "jitter_ms": 0.01}
    start = {"protocol": "UDP", "num_streams": 1, "blksize": block, "duration": 1, "omit": 0, "target_bitrate": asked}
    end = {
        "streams": [{"udp": {**sent, **counts, "socket": 5}}],
        "sum": sent | counts,
        "sum_sent": sent | counts,
        "sum_received": received | counts,
    }
    return json.dumps({"start": {"version": "iperf 3.12", "test_start": start}, "end": end}).encode()


def climbed(capacity_bps: float, most_bps: float, seconds_each: float = 1.1) -> tuple[Climb, list[list[str]]]:
    now, ran = [0.0], list[list[str]]()

    def run(argv: list[str]) -> Output:
        ran.append(argv)
        now[0] += seconds_each
        return Output(document(argv, capacity_bps, most_bps))

    request = ClimbRequest("10.0.0.1", 5201, "forward", SIZE, BOUND, udp_ladder.MOST_S)
    return client.climb(request, run, lambda: now[0]), ran


def read(climb: Climb) -> Ladder | Failure:
    found = udp_ladder.read(TASK, (), Output(msgspec.json.encode(climb)))
    assert isinstance(found, Ladder | Failure)
    return found


def test_ladder_client_ends_in_its_time_and_its_output_gives_the_rate_again() -> None:
    climb, ran = climbed(capacity_bps=1e9, most_bps=1.6e9)
    found = read(climb)
    assert isinstance(found, Ladder)
    assert 0.9e9 < float(str(found.columns["bounded_loss_bps"])) < 1.01e9
    packets = float(str(found.columns["bounded_loss_packets_per_s"]))
    assert packets == pytest.approx(float(str(found.columns["bounded_loss_bps"])) / 8 / SIZE, rel=0.01)
    assert found.flags == ()
    assert len(ran) * 1.1 <= udp_ladder.MOST_S
    slow, ran = climbed(capacity_bps=1e9, most_bps=1.6e9, seconds_each=2.0)
    assert len(ran) * 2.0 <= udp_ladder.MOST_S
    cut = read(slow)
    assert isinstance(cut, Ladder)
    assert cut.flags == ("ladder-open",)


def test_slow_sender_and_lossy_path_are_flagged() -> None:
    limited = read(climbed(capacity_bps=2e9, most_bps=1e9)[0])
    assert isinstance(limited, Ladder)
    assert limited.flags == ("sender-limited",)
    nothing = read(Climb(SIZE, BOUND, climbed(1e9, 1.6e9)[0].probes[:1]))
    assert nothing == Failure("more than 0.10% was lost at each rate, down to 1.60 Gbit/s")


def test_ladder_probe_that_failed_fails_the_trial_with_its_number_and_reason() -> None:
    climb = climbed(1e9, 1.6e9)[0]
    broken = msgspec.structs.replace(climb.probes[1], stdout='{"error": "unable to connect"}')
    found = read(msgspec.structs.replace(climb, probes=(climb.probes[0], broken)))
    assert found == Failure("probe 2 of 2: iperf3: unable to connect")


def test_visit_has_one_ladder_and_the_plan_its_duration() -> None:
    chosen = settings(options="protocols=tcp,ladder-512 rounds=1 repetitions=3")
    trials = [trial for visit in make_schedule(chosen) for trial in visit.trials]
    visits = len({trial.visit for trial in trials})
    cells = len({trial.topology for trial in trials})
    assert sum(trial.tool == "ladder_512" for trial in trials) == visits * cells
    assert sum(trial.tool == "iperf3" for trial in trials) == 3 * visits * cells
    without = settings(options="protocols=tcp rounds=1 repetitions=3")
    longer_s = planned_time(chosen).most_s - planned_time(without).most_s
    assert longer_s >= visits * cells * udp_ladder.LASTS_S


def test_ladder_bound_and_size_reach_the_client() -> None:
    command = BY_NAME["ladder_1372"].command(msgspec.structs.replace(TASK, loss_bound_ratio=0.01), "10.0.0.1", 5201)
    request = msgspec.json.decode(command[-1], type=ClimbRequest)
    assert (request.bound, request.block_bytes, request.address) == (0.01, 1372, "10.0.0.1")
