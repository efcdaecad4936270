"""The points at which runs are struck: every step of a visit by every fault, in an order that is drawn."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.chaos import points
from benchmarks.chaos.points import BY_NAME, FAULTS
from workflows.template.benchmark import build_template

STEPS = points.steps_of(build_template().to_dict())


def test_chaos_matrix_has_every_step_of_a_run_and_its_parts() -> None:
    names = [step.name for step in STEPS]
    assert set(names) >= {"validate", "snapshot", "configure", "settle", "measure", "restore", "notify"}
    assert not {"retreat", "recollect"} & set(names)
    assert {step.name for step in STEPS if step.in_visit} == {"configure", "settle", "measure", "scale", "clear"}
    drawn = points.draw(STEPS, FAULTS, 2, 1)
    expected = {
        f"{f.name}@{s.name}.{part}" for f in FAULTS for s in STEPS for part in s.parts if f.strikes(s.name, part)
    }
    assert sorted(point.name for point in drawn) == sorted(expected)
    assert len(drawn) > 400


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), faults=st.sets(st.sampled_from(FAULTS), min_size=1), count=st.integers(1, 500))
def test_few_points_cover_every_fault_and_every_step(seed: int, faults: set[points.Fault], count: int) -> None:
    kinds = sorted(faults, key=lambda fault: fault.name)
    drawn = points.draw(STEPS, kinds, 2, seed)
    assert drawn == points.draw(STEPS, kinds, 2, seed)
    assert len({point.name for point in drawn}) == len(drawn)
    pairs = [(point.fault, point.step) for point in drawn]
    assert len(set(pairs[: len(set(pairs))])) == len(set(pairs)), "each pair comes before any comes twice"
    begun = pairs[:count]
    if count >= max(len(kinds), len(STEPS)):
        assert {fault for fault, _ in begun} == {fault for fault, _ in pairs}
        assert {step for _, step in begun} == {step for _, step in pairs}
    assert all((point.visit is None) == (point.step not in IN_VISITS) for point in drawn)


IN_VISITS = {step.name for step in STEPS if step.in_visit}


def test_chaos_point_is_the_same_whichever_others_are_tried() -> None:
    every = {point.name: point for point in points.draw(STEPS, FAULTS, 2, 7)}
    few = points.draw(STEPS, [BY_NAME["terminate"], BY_NAME["s3-away"]], 2, 7)
    assert all(every[point.name] == point for point in few)
    only = points.chosen(few, "terminate@*.written")
    assert {point.name for point in only} == {"terminate@configure.written", "terminate@restore.written"}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), most=st.integers(1, 6), count=st.integers(1, 300))
def test_points_of_a_run_are_in_its_order_and_the_last_alone_may_end_it(seed: int, most: int, count: int) -> None:
    wanted = points.draw(STEPS, FAULTS, 2, seed)[:count]
    groups = points.together(wanted, most)
    assert sorted(p.name for group in groups for p in group) == sorted(p.name for p in wanted)
    assert max(map(len, groups)) <= most
    for group in groups:
        stages = [point.stage for point in group]
        assert stages == sorted(set(stages))
        assert not any(BY_NAME[point.fault].ends for point in group[:-1])
    if most == 1:
        assert groups == [(point,) for point in wanted]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), most=st.integers(1, 30), count=st.integers(1, 300))
def test_points_of_a_run_that_is_retried_follow_what_retry_begins_again(seed: int, most: int, count: int) -> None:
    wanted = points.draw(STEPS, FAULTS, 4, seed)[:count]
    groups = points.together(wanted, most, retried=True)
    assert sorted(p.name for group in groups for p in group) == sorted(p.name for p in wanted)
    assert max(map(len, groups)) <= most
    for group in groups:
        assert [point.place for point in group] == sorted({point.place for point in group})
        visits = [point.visit for point in group if point.visit is not None]
        assert len(visits) == len(set(visits)), "Retry does not go on with a visit"
        for one, next_ in pairwise(group):
            ends = BY_NAME[one.fault].ends
            assert BY_NAME[one.fault].retried or not ends
            assert ends or one.stage != next_.stage


def test_stops_of_a_long_run_strike_few_runs() -> None:
    stops = points.chosen(points.draw(STEPS, FAULTS, 16, 1), "stop@*")[:20]
    assert max(len(group) for group in points.together(stops, 20, retried=True)) >= 10
    assert max(len(group) for group in points.together(stops, 20)) == 1


def test_last_step_is_struck_before_it_is_over() -> None:
    drawn = points.draw(STEPS, FAULTS, 2, 1)
    assert max(point.delay_s for point in drawn if point.step == "notify") <= 1.0
    assert max(point.delay_s for point in drawn) > 5.0


def test_stages_are_in_the_order_of_a_run() -> None:
    at = {
        step.name: points.Point("stop", step.name, "running", 1 if step.in_visit else None, 0.0).stage for step in STEPS
    }
    assert at["snapshot"] < at["configure"] == at["clear"] < at["look"] < at["collect"] == at["verdict"] < at["restore"]
