"""Scales within a visit: their order, their turns, their proof, and what becomes of a trial without it."""

from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from steps import documents
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.domain import Change, ScaleSign, Visit
from steps.proof import scale as proof
from steps.settings import scale_order, schedule, turn_order
from steps.settings.settings import choose_settings
from tests.steps.builders import AT, attempt, scale_change, settings, trial, write_run, write_scales, write_trial
from tests.steps.collect.collected import Row, of_visit, tables

SEVERAL = settings(options="services=0,10,20 rounds=1 protocols=connect", topologies="pod-to-service")


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    services = ",".join(map(str, sorted(draw(st.sets(st.integers(0, 99), min_size=1, max_size=4)))))
    repetitions, seed = draw(st.integers(1, 3)), draw(st.integers(0, 10**9))
    profile = draw(st.sampled_from(["smoke", "scale"]))
    options = f"services={services} policies=0,3 repetitions={repetitions} rounds=2 seed={seed}"
    return choose_settings(profile=profile, options=options)


@given(any_settings())
def test_each_repetition_goes_through_all_scales_and_each_scale_through_all_cells(chosen: Settings) -> None:
    for visit in schedule.make_schedule(chosen):
        for number, repetition in groupby(visit.trials, key=lambda t: t.repetition):
            runs = [(scale, list(trials)) for scale, trials in groupby(repetition, key=lambda t: t.scale)]
            assert sorted(s.words for s, _ in runs) == sorted(s.words for s in chosen.scales), "each once, together"
            cells = [c for c in chosen.cells if number == 1 or not c.program.once_a_visit]
            for _, trials in runs:
                measured = [(t.topology, t.variant.name, t.direction) for t in trials]
                assert sorted(measured) == sorted((c.topology, c.variant.name, c.direction) for c in cells)


@given(any_settings())
def test_scale_changes_before_the_reference_of_the_trial_that_needs_it(chosen: Settings) -> None:
    for visit in schedule.make_schedule(chosen):
        for earlier, later in zip(visit.trials, visit.trials[1:], strict=False):
            changes = later.position in turn_order.changed_positions(visit)
            assert changes == (later.scale != earlier.scale)
            numbers = [
                turn_order.trial_number(earlier.position),
                turn_order.scale_number(later.position),
                turn_order.reference_number(later.position),
                turn_order.trial_number(later.position),
            ]
            assert numbers == sorted(set(numbers))


def test_scale_order_is_random_and_one_scale_leaves_the_plan_as_it_was() -> None:
    orders = {
        tuple(t.scale.services for t in visit.trials)
        for visit in schedule.make_schedule(SEVERAL.model_copy(update={"rounds": 20}))
    }
    assert len(orders) == 6
    (alone,) = {len(schedule.make_schedule(settings(options=f"services={n}"))[0].trials) for n in (0, 45_000)}
    plans = [schedule.make_schedule(settings(options=f"services={number} rounds=3")) for number in (0, 500)]
    assert alone == 3
    first, second = ([[(t.topology, t.variant) for t in v.trials] for v in plan] for plan in plans)
    assert first == second


def test_each_repetition_begins_with_the_scale_that_the_cluster_has_and_each_scale_comes_at_each_place() -> None:
    plan = schedule.make_schedule(SEVERAL.model_copy(update={"rounds": 200, "repetitions": 2}))
    repetitions = [
        [scale.services for scale, _ in groupby(repetition, key=lambda t: t.scale)]
        for visit in plan
        for _, repetition in groupby(visit.trials, key=lambda t: t.repetition)
    ]
    assert all(earlier[-1] == later[0] for earlier, later in pairwise(repetitions))
    for place in range(3):
        counts = Counter(repetition[place] for repetition in repetitions)
        assert all(abs(counts[services] / len(repetitions) - 1 / 3) < 0.05 for services in (0, 10, 20)), counts


def test_repetitions_on_a_cluster_go_up_and_down_in_turn() -> None:
    chosen = choose_settings(profile="scale", environment="prod", options="services=20,0,10,30 rounds=9 repetitions=2")
    firsts = set()
    for seed in range(9):
        repetitions = [
            [scale.services for scale, _ in groupby(repetition, key=lambda t: t.scale)]
            for visit in schedule.make_schedule(chosen.model_copy(update={"seed": seed}))
            for _, repetition in groupby(visit.trials, key=lambda t: t.repetition)
        ]
        firsts.add(tuple(repetitions[0]))
        assert all(repetition in ([0, 10, 20, 30], [30, 20, 10, 0]) for repetition in repetitions)
        assert all(earlier == later[::-1] for earlier, later in pairwise(repetitions))
    assert len(firsts) == 2


def test_planned_changes_on_a_cluster_are_the_differences() -> None:
    least, more, most = (Scale(services=number) for number in (0, 1_000, 5_000))
    changes_s = scale_order.changes_s([most, least, more], "prod")
    assert scale_order.changes_s([most, least], "prod") < changes_s < 1.2 * most.change_s(None, is_lab=False)
    up_s, down_s = most.change_s(more, is_lab=False), more.change_s(most, is_lab=False)
    assert up_s == down_s
    assert up_s == pytest.approx(most.change_s(None, is_lab=False) - more.change_s(None, is_lab=False))
    assert up_s > 4 * more.change_s(None, is_lab=False), "each Service costs more the more there are"
    assert scale_order.changes_s([most], "prod") == 0, "one scale is made once"
    with_policies = [Scale(services=number, policies=many) for number in (0, 1_000) for many in (0, 100)]
    assert scale_order.changes_s(with_policies, "prod") > with_policies[-1].change_s(None, is_lab=False)


def test_scale_step_only_in_visits_with_several_scales_or_churn() -> None:
    def visit(options: str, profile: str = "smoke") -> Visit:
        return schedule.make_schedule(choose_settings(profile=profile, options=options))[0]

    for options in ("", "services=45000", "policies=9"):
        assert not turn_order.has_scale_step(visit(options))
        assert turn_order.SCALE not in turn_order.all_steps(visit(options))
    for options in ("services=0,1", "churn=5", "protocols=rules-update"):
        assert turn_order.has_scale_step(visit(options))
        assert turn_order.SCALE in turn_order.all_steps(visit(options))
    assert turn_order.steps(visit("protocols=rules-update")) == (turn_order.HOST_NETWORK,)
    assert turn_order.changed_positions(visit("churn=5")) == {1}, "what changes all the time is begun by that step"


def test_older_plan_without_scales_is_the_plan_of_its_settings() -> None:
    chosen = settings(options="services=7 rounds=2")
    plan = schedule.make_schedule(chosen)
    older = [visit.model_dump(mode="json") for visit in plan]
    for visit in older:
        for each in visit["trials"]:
            del each["scale"]
    read = schedule.with_scales([Visit.model_validate(visit) for visit in older], chosen)
    assert read == plan
    assert schedule.is_plan(read, chosen)
    assert not schedule.is_plan(plan, settings(options="services=8 rounds=2"))


# The proof


def sign(seen: str, *, holds: bool | None) -> ScaleSign:
    return ScaleSign(factor="services", node="node-a", looked_at="rules", seen=seen, at=AT, holds=holds)


def test_scale_is_counted_until_every_node_has_it() -> None:
    counts = iter([[sign("3 of 10", holds=False)], [sign("10 of 10", holds=True), sign("unknown", holds=None)]])
    lines: list[str] = []
    begun = proof.begin(Scale(services=10), 4)
    made = [Change(what="Services", command="nft -f")]
    found = proof.change_scale(begun, lambda _: made, lambda _: next(counts), 60, lines.append)
    assert (found.error, found.changes, found.position) == (None, tuple(made), 4)
    assert [each.seen for each in found.signs] == ["10 of 10", "unknown"]
    assert found.change_s is not None
    assert found.count_s is not None
    assert found.count_s >= 0.05, "it looked twice"
    assert "made in" in lines[-1]


def test_scale_not_reached_or_not_possible_has_its_reason() -> None:
    begun = proof.begin(Scale(services=10), 4)
    late = proof.change_scale(begun, lambda _: [], lambda _: [sign("3 of 10", holds=False)], 0, lambda _: None)
    assert late.error == "not within 0 s: node-a: rules: 3 of 10"
    assert [each.seen for each in late.signs] == ["3 of 10"], "what there was is kept"

    def refuse(_: Scale) -> list[Change]:
        raise Problem("no room.")

    failed = proof.change_scale(begun, refuse, lambda _: [], 1, lambda _: None)
    assert (failed.error, failed.change_s, failed.signs) == ("no room.", None, ())


def test_trial_counts_at_the_last_scale_before_it_alone() -> None:
    first, second = trial(scale=Scale(services=1), position=1), trial(scale=Scale(services=2), position=3)
    changes = (scale_change(first), scale_change(second))
    assert proof.fault(changes, first.scale, 2) is None
    assert proof.fault(changes, second.scale, 9) is None
    assert proof.fault(changes[:1], second.scale, 3) == (
        "the step that changes the scale ended before services=2 endpoints=1 policies=0 churn=0"
    )
    broken = (changes[0], scale_change(second, error="node-a: no"))
    assert (
        proof.fault(broken, second.scale, 4) == "services=2 endpoints=1 policies=0 churn=0 was not proven: node-a: no"
    )
    again = (*changes, scale_change(second, error="churn ended"))
    assert "churn ended" in str(proof.fault(again, second.scale, 3)), "the later of two at one position"


# What is collected


@pytest.fixture
def run(tmp_path: Path) -> Path:
    visits = write_run(tmp_path, SEVERAL)
    for visit in visits:
        write_scales(tmp_path / documents.visit_directory(visit.visit), visit)
    return tmp_path


def scaled(run: Path) -> list[Row]:
    return of_visit(tables(run)["trials"], 1)


def test_rows_have_their_scale_and_the_evidence_has_its_signs(run: Path) -> None:
    found = tables(run)
    assert {row["services"] for row in found["trials"]} == {0, 10, 20}
    assert {(row["endpoints"], row["policies"], row["churn_per_s"]) for row in found["trials"]} == {(1, 0, 0.0)}
    assert {row["outcome"] for row in found["trials"]} == {"measured"}
    moments = [s["moment"] for s in found["visits"][0]["evidence"]]
    assert moments[:4] == ["before", "before", "after", "after"]
    assert len(set(moments[4:])) == 3
    assert "services=20 endpoints=1 policies=0 churn=0" in moments
    factors = found["runs"][0]["parameters"]["factors"]
    assert [each["name"] for each in factors] == ["services", "endpoints", "policies", "churn_per_s"]


def test_failed_scale_change_voids_the_trials_at_its_scale_alone(run: Path) -> None:
    folder = run / documents.visit_directory(1)
    changes = documents.read_document(folder / "scale" / documents.CHANGES, documents.Scales)
    broken = changes.changes[0].model_copy(update={"error": "node-b: rules: 9 of 10"})
    document = changes.model_copy(update={"changes": (broken, *changes.changes[1:])})
    documents.write_document(folder / "scale" / documents.CHANGES, document)
    failed = [row for row in scaled(run) if row["outcome"] == "failed"]
    assert {row["services"] for row in failed} == {broken.scale.services}
    assert all(row["error"].endswith("was not proven: node-b: rules: 9 of 10") for row in failed)
    assert all("connect_p50_s" not in row for row in failed), "no figure of an unknown scale"
    assert len(failed) < len(scaled(run))


def test_trials_after_a_step_that_ended_are_failed_rows(run: Path) -> None:
    (run / documents.visit_directory(1) / "scale" / documents.CHANGES).unlink()
    found = scaled(run)
    assert [row["outcome"] for row in found] == ["measured", "failed", "failed"]
    assert found[-1]["error"].startswith("the step that changes the scale ended before services=")


def test_trials_of_before_scales_are_read_with_their_services(tmp_path: Path) -> None:
    chosen = settings(options="services=7 rounds=1")
    (visit, *_) = write_run(tmp_path, chosen)
    planned = visit.trials[0]
    path = tmp_path / documents.visit_directory(1) / planned.topology / documents.trial_name(planned.trial)
    document = documents.read_document(path, documents.TrialDocument)
    older = document.model_dump(mode="json")
    del older["trial"]["scale"]
    assert documents.TrialDocument.model_validate({**older, "services": 7}) == document
    assert {row["services"] for row in tables(tmp_path)["trials"]} == {7}


def test_trial_of_the_scale_step_is_collected_from_its_folder(tmp_path: Path) -> None:
    chosen = settings(options="services=5 rounds=1 protocols=rules-update", topologies="pod-to-service")
    for visit in write_run(tmp_path, chosen):
        folder = tmp_path / documents.visit_directory(visit.visit)
        write_scales(folder, visit)
        for planned in visit.trials:
            stdout = '{"p50_s":0.02,"p99_s":null,"worst_s":0.05,"observed":40,"failed":0,"duration_s":1.0}'
            write_trial(folder, planned, attempt(stdout=stdout))
            (folder / planned.topology / documents.trial_name(planned.trial)).rename(
                folder / "scale" / documents.trial_name(planned.trial)
            )
    for row in tables(tmp_path)["trials"]:
        assert (row["outcome"], row["update_p50_s"], row["update_worst_s"]) == ("measured", 0.02, 0.05)
        assert (row["update_p99_s"], row["updates"], row["updates_failed"]) == (None, 40, 0)
        assert "few-observations" in row["flags"]
