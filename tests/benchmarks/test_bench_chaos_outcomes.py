"""What `make chaos` makes of its points: outcomes on disk, the bar, tables, sessions, and the run of each point."""

from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput
from benchmarks.chaos import document, outcomes, points, runs, session, tables
from benchmarks.chaos.outcomes import PointOutcome
from benchmarks.chaos.points import FAULTS, Point
from benchmarks.chaos.runner import NotAsBeforeError
from benchmarks.chaos.runs import MatrixSettings
from steps.domain import Visit
from steps.settings.schedule import make_schedule
from steps.settings.turn_order import has_scale_step
from tests.benchmarks.test_bench_chaos import point
from tests.benchmarks.test_bench_chaos_points import STEPS
from workflows.flags.run import SubmitFlags

KEPT = PointOutcome(point="stop@settle.running", seed=1, run="r", struck_at="settle", measured=4, back_s=0.4)


def test_outcomes_are_kept_and_a_line_that_was_cut_short_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "chaos.jsonl"
    assert outcomes.read(file) == []
    outcomes.append(file, KEPT)
    outcomes.append(file, KEPT.model_copy(update={"point": "stop@settle.ended"}))
    file.write_text(file.read_text()[:-5])
    assert outcomes.read(file) == [KEPT]
    later = KEPT.model_copy(update={"point": "stop@settle.ended"})
    outcomes.append(file, later)
    assert outcomes.read(file) == [KEPT, later], "the session after it is not lost with the line"


@pytest.mark.parametrize("text", ["{}\n", "# Changelog\n", '{"point": 1}\n', '{"run'])
def test_other_file_is_not_taken_for_outcomes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "chaos.jsonl"
    file.write_text(text)
    with pytest.raises(BadInput, match="is no file of outcomes"):
        outcomes.read(file)


@pytest.mark.parametrize(
    ("found", "miss"),
    [
        ({}, None),
        ({"back_s": 180.0}, None),
        ({"changed": ("DaemonSet kube-system/kube-proxy",)}, "objects differ"),
        ({"lost": 1}, "1 measured rows lost"),
        ({"store": "it has a hole"}, "the store can't be read"),
        ({"back_s": None, "left": ("Pod x",)}, "not as before within 180 s"),
        ({"back_s": 181.0}, "not as before within 180 s"),
        ({"stuck": "had not ended"}, "the run had not ended"),
    ],
)
def test_chaos_outcomes_against_the_criteria(found: dict[str, Any], miss: str | None) -> None:
    outcome = KEPT.model_copy(update=found)
    assert outcome.misses == ([] if miss is None else [miss])
    (*_, line) = tables.points([outcome])
    assert line.endswith(f" {miss or 'kept'} |")
    assert outcome.is_kept == (miss is None)
    sentences = tables.summary([outcome], ["etcd-stopped: no command is given for it"])
    assert any(sentence.startswith("Missed: ") for sentence in sentences) == (miss is not None)
    assert sentences[-1] == "Left out: etcd-stopped: no command is given for it."


def test_point_that_its_run_did_not_come_to_is_not_counted_as_kept() -> None:
    outcome = KEPT.model_copy(update={"struck_at": None})
    assert outcome.misses == []
    assert not outcome.is_kept
    assert tables.points([outcome])[-1].endswith(" not struck |")
    assert "Not struck: stop@settle.running (run r)." in tables.summary([outcome])


def test_point_whose_fault_had_no_effect_is_not_counted_as_kept() -> None:
    outcome = KEPT.model_copy(update={"effect": False})
    assert outcome.misses == []
    assert not outcome.is_kept
    assert tables.points([outcome])[-1].endswith(" without effect |")
    said = tables.summary([outcome])
    assert said[0].startswith("0 of 1 points struck")
    assert "Without effect: stop@settle.running (run r): check the commands of stop." in said
    assert KEPT.model_copy(update={"effect": True}).verdict == "kept"


def of(name: str, **more: Any) -> PointOutcome:  # noqa: ANN401 - fields of any kind
    return KEPT.model_copy(update={"point": name, **more})


MISSED = of("stop@restore.written", changed=("DaemonSet kube-system/kube-proxy",), run="first")


def test_chaos_document_begins_with_what_failed() -> None:
    mended = of("stop@restore.written", run="second")
    late = of("delete@configure.created", back_s=200.0)
    text = tables.document([MISSED, KEPT, mended, late], [step.name for step in STEPS])
    assert "3 of 3 points struck" in text
    first, matrix, every = text.partition("## By step and fault")[0], *text.split("## ")[-2:]
    assert "What failed first" in first
    assert "objects differ" in first
    rows = [line.split(" | ")[0][2:] for line in matrix.splitlines() if line.startswith("| ")]
    assert rows[2:] == [step.name for step in STEPS if step.name in {"configure", "settle", "restore"}]
    assert "| configure | 1 **missed** | – |" in matrix
    assert "| restore | – | 1 kept |" in matrix
    assert [line.split(" | ")[0][2:] for line in every.splitlines()[4:]] == [late.point, mended.point, KEPT.point]


def test_what_points_miss_only_together_is_not_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "chaos.jsonl"
    first, second = "s3-away@look.running", "stop@verdict.running"
    beside = {first: (second,), second: (first,)}
    for name, others in beside.items():
        outcomes.append(file, of(name, run="both", lost=1, beside=others))
    for name in beside:
        outcomes.append(file, of(name, run=f"alone at {name}"))
    assert document.show(document.ChaosTableFlags(outcomes=file)) == 1
    assert "Missed together, and kept alone" in capsys.readouterr().out
    (sentence,) = (each for each in tables.summary([], before=outcomes.read(file)) if "together" in each)
    assert sentence.endswith(f"alone: {first}, {second} (run both): 1 measured rows lost.")
    outcomes.append(file, of(second, lost=1))
    assert outcomes.missed_together(outcomes.read(file)) == [], "it is missed alone, too"


def test_chaos_summary_says_what_a_point_takes() -> None:
    timed = [
        of("stop@a.running", moment_s=10.0, fault_s=0.0, end_s=30.0, took_s=50.0),
        of("stop@b.running", moment_s=30.0, fault_s=120.0, end_s=50.0, took_s=210.0),
    ]
    (sentence,) = tables.time_taken([KEPT, *timed])
    assert sentence.startswith("A point took 130 s in the mean, from 50 to 210 s: 20 s until its moment, 60 s the ")
    assert tables.time_left(188, timed) == "188 points left, about 6 h 47 min."
    assert tables.time_left(1, [KEPT]) == "1 point left."


def test_table_is_printed_without_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, written = tmp_path / "chaos.jsonl", tmp_path / "chaos.md"
    with pytest.raises(BadInput, match="has no outcomes"):
        document.show(document.ChaosTableFlags(outcomes=file))
    outcomes.append(file, KEPT)
    assert document.show(document.ChaosTableFlags(outcomes=file)) == 0
    printed = capsys.readouterr().out
    assert document.show(document.ChaosTableFlags(outcomes=file, document=written)) == 0
    assert written.read_text() == printed
    outcomes.append(file, MISSED)
    assert document.show(document.ChaosTableFlags(outcomes=file, document=written)) == 1
    with pytest.raises(BadInput, match=r"nowhere/chaos\.md can't be written"):
        document.show(document.ChaosTableFlags(outcomes=file, document=tmp_path / "nowhere" / "chaos.md"))


@pytest.mark.parametrize(("kept", "written"), [("outcomes.jsonl", "chaos.md"), ("stops.jsonl", "chaos-stops.md")])
def test_document_of_the_repository_is_that_of_its_outcomes(kept: str, written: str) -> None:
    docs = Path(__file__).parents[2] / "docs"
    found = outcomes.read(docs / "chaos" / kept)
    assert found
    assert (docs / written).read_text() == tables.document(found, [step.name for step in STEPS]), (
        f"make chaos-table OUTCOMES=docs/chaos/{kept} DOCUMENT=docs/{written}"
    )


def test_next_session_goes_on_with_the_points_that_are_left() -> None:
    wanted = [point(f"stop@{step.name}.running") for step in STEPS[:5]]
    judged: dict[str, PointOutcome] = {}
    said: list[str] = []
    now = 0.0

    def try_run(tried: tuple[Point, ...]) -> list[PointOutcome]:
        nonlocal now
        now += 100.0
        return [of(one.name, took_s=100.0, changed=("x",) if one == wanted[0] else ()) for one in tried]

    def one_session(longest_s: float | None, *, again: bool = False) -> list[str]:
        before = dict(judged)
        left = session.left(wanted, judged, again=again)
        session.try_points(
            points.together(left, 1),
            try_run,
            lambda found: judged.update({found.point: found}),
            said.append,
            longest_s=longest_s,
            clock=lambda: now,
        )
        return [name for name, found in judged.items() if before.get(name) is not found]

    names = [one.name for one in wanted]
    assert one_session(250.0) == names[:2], "a third would not end in time"
    assert said[-1] == "The session is over: 3 points left, about 5 min."
    assert one_session(None) == names[2:]
    assert one_session(None) == []
    assert one_session(None, again=True) == names[:1], "what missed the bar is tried again when that is asked"


def test_outcome_is_kept_before_the_next_point_begins() -> None:
    kept: list[PointOutcome] = []

    def try_run(tried: tuple[Point, ...]) -> list[PointOutcome]:
        if kept:
            raise NotAsBeforeError("prod is not as before.")
        return [of(one.name) for one in tried]

    both = [(point("stop@settle.running"),), (point("stop@settle.ended"),)]
    with pytest.raises(NotAsBeforeError):
        session.try_points(both, try_run, kept.append, lambda _said: None, longest_s=None, clock=lambda: 0.0)
    assert [found.point for found in kept] == ["stop@settle.running"]


def test_points_of_a_run_that_tell_nothing_together_are_tried_alone() -> None:
    passed, missed, good = (point(f"s3-away@{moment}") for moment in ("validate.ended", "look.running", "notify.ended"))
    tried: list[tuple[str, ...]] = []
    kept: list[PointOutcome] = []

    def try_run(group: tuple[Point, ...]) -> list[PointOutcome]:
        tried.append(tuple(one.name for one in group))
        if len(group) == 1:
            return [of(group[0].name)]
        return [of(missed.name, lost=1), of(good.name)]

    session.try_points(
        [(passed, missed, good)], try_run, kept.append, lambda _said: None, longest_s=None, clock=lambda: 0.0
    )
    assert tried[1:] == [(passed.name,), (missed.name,)]
    assert [(one.point, one.is_kept) for one in kept] == [
        (missed.name, False), (good.name, True), (passed.name, True), (missed.name, True),
    ]  # fmt: skip


def visits_of(asked: SubmitFlags) -> tuple[Visit, ...]:
    return make_schedule(asked.chosen("prod", "/somewhere"))


def test_run_of_a_point_is_the_shortest_that_comes_to_it() -> None:
    shape = MatrixSettings(("iptables", "nftables", "ebpf"), "pod-to-service")
    for each in points.draw(STEPS, FAULTS, shape.visits, 3):
        asked = runs.run_of([each], shape, 3)
        visits = visits_of(asked)
        assert len(visits) == (each.visit or 1), each.name
        assert asked == runs.run_of([each], shape, 3), "the same seed has the same run"
        assert has_scale_step(visits[0]) == (each.step == runs.SCALED), each.name
        assert len(visits[0].trials) >= 2, "so that a fault may strike between two trials"


def test_run_of_several_points_comes_to_each_of_them() -> None:
    shape = MatrixSettings(("iptables", "nftables", "ebpf"), "pod-to-service")
    for group in points.together(points.draw(STEPS, FAULTS, shape.visits, 3), 4):
        visits = visits_of(runs.run_of(group, shape, 3))
        assert len(visits) == max(each.visit or 1 for each in group)
        assert has_scale_step(visits[0]) == any(each.step == runs.SCALED for each in group)


def test_runs_of_several_rounds_are_whole() -> None:
    shape = MatrixSettings(("iptables", "nftables", "ebpf", "ebpf-dsr"), rounds=4)
    drawn = points.chosen(points.draw(STEPS, FAULTS, shape.visits, 1), "stop@*")
    assert {len(visits_of(runs.run_of([each], shape, 1))) for each in drawn} == {16} == {shape.visits}
    assert max(each.visit or 0 for each in drawn) > 8
