import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.catalogue.options import Settings
from steps.catalogue.profiles import PROFILES, Profile
from steps.settings import schedule
from steps.settings.settings import choose_settings
from tests.steps.builders import settings


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    rounds, repetitions, seed = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 10**9))
    profile = draw(st.sampled_from(["smoke", "quick", "standard", "thorough"]))
    return choose_settings(profile=profile, options=f"rounds={rounds} repetitions={repetitions} seed={seed}")


@given(any_settings())
def test_each_round_visits_each_arm_once_with_every_cell(chosen: Settings) -> None:
    visits = schedule.make_schedule(chosen)
    assert [v.visit for v in visits] == list(range(1, len(visits) + 1))
    for number, block in groupby(visits, key=lambda v: v.round):
        assert sorted(v.dataplane for v in block) == sorted(chosen.dataplanes), number
    wanted = Counter((c.topology, c.variant, c.direction) for c in chosen.cells for _ in range(chosen.repetitions))
    for visit in visits:
        assert Counter((t.topology, t.variant, t.direction) for t in visit.trials) == wanted
        assert [t.position for t in visit.trials] == list(range(1, len(visit.trials) + 1))
        assert {t.visit for t in visit.trials} == {visit.visit}
        count = len(chosen.cells)
        for number in range(chosen.repetitions):
            measured = visit.trials[number * count : (number + 1) * count]
            assert {t.repetition for t in measured} == {number + 1}
            assert len({(t.topology, t.variant, t.direction) for t in measured}) == count, "each cell once in a block"
    trials = [t.trial for v in visits for t in v.trials]
    assert trials == list(range(1, len(trials) + 1))


@given(any_settings())
def test_plan_is_determined_by_the_seed(chosen: Settings) -> None:
    assert schedule.make_schedule(chosen) == schedule.make_schedule(
        Settings.model_validate_json(chosen.model_dump_json())
    )


def test_plan_order_depends_on_the_seed() -> None:
    orders = {
        tuple(
            (v.dataplane, *(t.topology for t in v.trials))
            for v in schedule.make_schedule(choose_settings(options=f"seed={seed}"))
        )
        for seed in range(10)
    }
    assert len(orders) == 10


def test_order_of_arms_and_trials_is_randomised() -> None:
    visits = schedule.make_schedule(settings(options="rounds=20"))
    assert len({v.dataplane for v in visits[::2]}) == 2
    blocks = {tuple((t.topology, t.variant.name) for t in v.trials) for v in visits}
    assert len(blocks) == 6, "three trials in every order, over all topologies"


def test_rate_applies_to_udp_and_streams_not_to_connect() -> None:
    (visit, *_) = schedule.make_schedule(settings(options="protocols=tcp,udp,connect rate=1G streams=4"))
    for trial in visit.trials:
        assert trial.offered_bps == (1e9 if trial.transport == "udp" else None)
        assert trial.streams == (1 if trial.tool == "tcp_connect" else 4)


def test_expected_duration_grows_with_the_plan() -> None:
    base = settings()
    sending = sum(t.duration_s for v in schedule.make_schedule(base) for t in v.trials if t.tool != "tcp_connect")
    assert schedule.expected_s(base) > sending
    for more in ("rounds=4", "duration=5", "repetitions=4", "omit=3", "idle=9"):
        assert schedule.expected_s(settings(options=more)) > schedule.expected_s(base), more


UNITS_S = {"s": 1, "min": 60, "h": 3600}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_profile_duration_texts(profile: Profile) -> None:
    found = re.search(
        r"\(([\d.]+) (s|min|h)(?: in the lab)?, ([\d.]+) (s|min|h)(?: on a cluster)?\)", profile.description
    )
    assert found is not None
    for environment, number, unit in (("lab", *found.group(1, 2)), ("a-cluster", *found.group(3, 4))):
        expected_s = schedule.expected_s(choose_settings(profile=profile.name, environment=environment))
        assert float(number) * UNITS_S[unit] == pytest.approx(expected_s, rel=0.2), environment


def test_readme_durations_match_the_plan() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (minutes,) = re.findall(r"measure for about ([\d.]+) minutes", readme)
    assert float(minutes) * 60 == pytest.approx(schedule.expected_s(choose_settings()), rel=0.2)
    (seconds,) = re.findall(r"PROFILE=smoke +# does everything work, under (\d+) s", readme)
    smoke = choose_settings(profile="smoke")
    assert schedule.expected_s(smoke) < float(seconds) == 60
    assert smoke.remeasure_ratio == 0, "a machine that is never quiet may not make it longer"
