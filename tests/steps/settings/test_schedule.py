import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.domain import FIRST_LOOK
from steps.catalogue.cells import PlannedCell
from steps.catalogue.environments import LAB
from steps.catalogue.options import BY_NAME as OPTIONS
from steps.catalogue.options import Settings
from steps.catalogue.profiles import BY_NAME, DEFAULT, PROFILES, VISITS_DIFFER_RATIO, Profile
from steps.catalogue.tools import TOOLS, measures_in
from steps.catalogue.topologies import TOPOLOGIES
from steps.settings import schedule
from steps.settings.settings import choose_settings
from steps.tools.ladder import udp_ladder
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
    repeated = [cell for cell in chosen.cells if not cell.program.once_a_visit]
    cells = [*chosen.cells, *(cell for cell in repeated for _ in range(chosen.repetitions - 1))]
    wanted = Counter((c.topology, c.variant, c.direction) for c in cells)
    for visit in visits:
        assert Counter((t.topology, t.variant, t.direction) for t in visit.trials) == wanted
        assert [t.position for t in visit.trials] == list(range(1, len(visit.trials) + 1))
        assert {t.visit for t in visit.trials} == {visit.visit}
        for number in range(chosen.repetitions):
            begins = len(chosen.cells) + (number - 1) * len(repeated) if number else 0
            count = len(repeated if number else chosen.cells)
            measured = visit.trials[begins : begins + count]
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
    usual_s = schedule.planned_time(base).expected_s
    assert usual_s > sending
    for more in ("rounds=4", "duration=5", "repetitions=4", "omit=3", "idle=9"):
        assert schedule.planned_time(settings(options=more)).expected_s > usual_s, more


def test_run_takes_from_its_first_look_to_its_last_round() -> None:
    chosen = settings(options="rounds=16")
    planned = schedule.planned_time(chosen)
    assert planned.rounds == (3, 4, 16)
    assert planned.least_s < planned.expected_s < planned.most_s
    for number, seconds in zip(planned.rounds, (planned.least_s, planned.expected_s, planned.most_s), strict=True):
        assert seconds == pytest.approx(schedule.planned_time(settings(options=f"rounds={number}")).most_s)
    assert "(3 to 16 rounds)" in planned.sentence
    assert schedule.planned_time(settings(options="rounds=16", dataplanes="lab-ebpf")).rounds == (16, 16, 16)
    assert schedule.planned_time(settings(options="rounds=2")).sentence.startswith("about ")


def test_run_takes_longer_where_the_operator_rolls_switches_out() -> None:
    chosen = settings(options="rounds=2")
    more_s = schedule.planned_time(chosen, by_operator=True).most_s - schedule.planned_time(chosen).most_s
    assert more_s == pytest.approx(2 * len(chosen.dataplanes) * schedule.OPERATOR_VISIT_S)


def test_budget_limits_the_planned_rounds() -> None:
    unlimited = schedule.planned_time(settings(options="rounds=1000"))
    limited = schedule.planned_time(settings(options="rounds=1000 budget=10m"))
    assert unlimited.most_s > 600 >= limited.most_s > 500
    assert schedule.planned_time(settings(options="rounds=1000 duration=60 budget=1m")).rounds == (1, 1, 1)


@given(st.integers(1, 1000), st.booleans())
def test_levels_measure_every_round_once_within_argos_depth(rounds: int, budget: bool) -> None:  # noqa: FBT001
    chosen = settings(options=f"rounds={rounds}{' budget=1h' * budget}")
    levels = [schedule.level_rounds(chosen, level) for level in range(1, schedule.MOST_LEVELS + 2)]
    assert [number for level in levels for number in level] == list(range(1, rounds + 1))
    assert not levels[-1], "a level for the repeats of the last round"
    assert len(levels[0]) == (1 if budget else min(rounds, FIRST_LOOK)), "nothing is decided before the first look"
    if rounds <= schedule.MOST_LEVELS:
        assert {len(level) for level in levels[1:]} <= {0, 1}
    assert schedule.level_title(chosen, schedule.MOST_LEVELS + 1) == "repeats"


@given(any_settings())
def test_repeats_have_numbers_of_their_own_and_the_round_of_what_they_repeat(chosen: Settings) -> None:
    visits = schedule.make_schedule(chosen)
    repeats = [schedule.repeat(visits, visit) for visit in visits]
    every = [*visits, *repeats]
    assert [visit.visit for visit in every] == list(range(1, 2 * len(visits) + 1))
    trials = [trial.trial for visit in every for trial in visit.trials]
    assert len(set(trials)) == len(trials)
    for visit, again in zip(visits, repeats, strict=True):
        assert (again.round, again.dataplane) == (visit.round, visit.dataplane)
        assert {trial.visit for trial in again.trials} == {again.visit}
        assert [(t.topology, t.variant, t.repetition) for t in again.trials] == [
            (t.topology, t.variant, t.repetition) for t in visit.trials
        ]
        assert schedule.find_visit(visits, again.visit) == again
        assert schedule.find_visit(visits, visit.visit) == visit
    assert schedule.find_visit(visits, 0) is schedule.find_visit(visits, len(every) + 1) is None


UNITS_S = {"s": 1, "min": 60, "h": 3600}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_profile_duration_texts(profile: Profile) -> None:
    found = re.search(r"\((?:at most )?([\d.]+) (s|min|h)[^,]*, ([\d.]+) (s|min|h)[^,]*\)", profile.description)
    assert found is not None
    for environment, dataplanes, number, unit in (
        ("lab", "", *found.group(1, 2)),
        ("a-cluster", "iptables,ebpf,ebpf-dsr", *found.group(3, 4)),
    ):
        chosen = choose_settings(profile=profile.name, environment=environment, dataplanes=dataplanes)
        most_s = schedule.planned_time(chosen).most_s
        measures_again = environment == "lab" and chosen.remeasure_ratio > 0
        assert not measures_again or f"at most {number} {unit} on a quiet machine, " in profile.description
        assert float(number) * UNITS_S[unit] == pytest.approx(most_s, rel=0.15), environment


@pytest.mark.parametrize("profile", [p for p in PROFILES if p.finds_ratio], ids=lambda profile: profile.name)
def test_profile_texts_say_what_they_promise(profile: Profile) -> None:
    assert f"finds differences of {profile.finds_ratio:.0%} ".replace("%", " %") in profile.description


def test_quick_has_its_verdict_within_twenty_minutes_with_three_dataplanes_on_a_cluster() -> None:
    chosen = choose_settings(profile="quick", environment="a-cluster", dataplanes="iptables,ebpf,ebpf-dsr")
    assert schedule.planned_time(chosen).most_s - schedule.CLUSTER_OVERHEAD.restore_s <= 20 * 60


def test_later_profiles_measure_for_longer() -> None:
    for environment, dataplanes in (("lab", ""), ("a-cluster", "iptables,ebpf,ebpf-dsr")):
        later = [p.name for p in PROFILES if p.name != "scale"]  # which measures something else
        chosen = [choose_settings(profile=name, environment=environment, dataplanes=dataplanes) for name in later]
        lasting = [schedule.planned_time(each).most_s for each in chosen]
        assert lasting == sorted(lasting), environment


def test_budget_never_holds_the_first_round_back_and_its_help_says_so() -> None:
    chosen = choose_settings(profile="standard", options="budget=60s")
    assert schedule.planned_time(chosen).rounds == (1, 1, 1)
    assert schedule.planned_time(chosen).most_s > 60
    assert "its first round in any case" in OPTIONS["budget"].help


def test_readme_durations_are_those_of_the_profiles() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (minutes,) = re.findall(r"measure for (at most [\d.]+ min)utes on a quiet machine", readme)
    assert f"({minutes} on a quiet machine, " in BY_NAME[DEFAULT].description
    for name in ("smoke", "selftest"):
        (words, seconds) = re.findall(rf"PROFILE={name} +# (.*), (\d+) s", readme)[0]
        assert BY_NAME[name].description.startswith(words)
        assert f"({seconds} s in the lab" in BY_NAME[name].description
        chosen = choose_settings(profile=name)
        assert schedule.planned_time(chosen).most_s < 60 == int(seconds)
        assert chosen.remeasure_ratio == 0, "a machine that is never quiet may not make it longer"


@pytest.mark.parametrize("environment", [LAB, "prod"])
def test_self_test_measures_every_path_and_every_tool_once_and_uses_every_dataplane(environment: str) -> None:
    chosen = choose_settings(profile="selftest", environment=environment)
    visits = schedule.make_schedule(chosen)
    measured = [
        PlannedCell.model_validate(t.model_dump(include={*PlannedCell.model_fields})) for v in visits for t in v.trials
    ]
    assert sorted(measured, key=repr) == sorted(chosen.cells, key=repr), "each once, in one dataplane"
    assert {cell.topology for cell in measured} == {topology.name for topology in TOPOLOGIES}
    other_sizes = {tool.name for tool in udp_ladder.TOOLS[1:]}
    known = {tool.name for tool in TOOLS if measures_in(tool, lab=environment == LAB)}
    assert {cell.tool for cell in measured} == known - other_sizes
    assert sorted(visit.dataplane for visit in visits) == sorted(chosen.dataplanes)
    parts = [len(visit.trials) for visit in visits]
    assert max(parts) - min(parts) <= 1
    assert schedule.is_plan(visits, chosen)


@pytest.mark.parametrize(("difference", "rounds"), [(0.4, 3), (0.2, 4), (0.1, 11)])
def test_rounds_to_decide_are_those_of_simulated_runs(difference: float, rounds: int) -> None:
    """The second and third figures of the table of rounds in docs/verdicts.md."""
    assert schedule.rounds_to_decide(difference) == rounds
    assert schedule.rounds_to_decide(difference, 2 * VISITS_DIFFER_RATIO) > rounds


def test_expected_rounds_are_for_the_difference_that_a_profile_promises_to_find() -> None:
    for name, difference in (("quick", 0.2), ("standard", 0.1), ("thorough", schedule.TYPICAL_DIFFERENCE_RATIO)):
        chosen = choose_settings(profile=name, options="rounds=30")
        planned = schedule.planned_time(chosen)
        assert planned.rounds == (3, schedule.rounds_to_decide(difference), 30)
        assert planned.sentence.endswith(f" where dataplanes differ by {difference:.0%}".replace("%", " %"))
