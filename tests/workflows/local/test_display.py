"""The display of a running benchmark, in a terminal and as plain lines."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.console.terminal import Terminal
from workflows.local.display.progress import RunProgress
from workflows.local.display.terminal import TerminalDisplay, clock
from workflows.local.execution.events import (
    Event,
    NodeFinished,
    NodeLog,
    NodeProgress,
    NodeStarted,
    WorkflowFinished,
    WorkflowStarted,
    WorkflowStopping,
    WorkflowWaiting,
)


def _visit(number: int, phase: str = "Succeeded") -> list[Event]:
    node = f"run.rounds.visits({number})"
    inputs = {"visit": str(number), "dataplane": "lab-ebpf", "round": "2"}
    return [
        NodeStarted(node, "visit", "DAG", "run.rounds.visits", inputs),
        NodeStarted(f"{node}.measure(0:x)", "measure", "Pod", node),
        NodeProgress(f"{node}.measure(0:x)", 3, 8),
        NodeLog(f"{node}.measure(0:x)", "pod-to-pod tcp forward: 5.21 Gbit/s"),
        NodeLog(f"{node}.measure(0:x)", "host network 2/2: steady"),
        NodeFinished(f"{node}.measure(0:x)", phase, "it broke" if phase == "Failed" else "", 1.0),  # type: ignore[arg-type]
        NodeFinished(node, phase, "", 10.0),  # type: ignore[arg-type]
    ]


START: list[Event] = [
    WorkflowWaiting("Waiting for a lock"),
    WorkflowStarted("run", "uid"),
    NodeStarted("run", "main", "DAG", None),
    NodeStarted("run.preflight", "preflight", "Pod", "run"),
    NodeLog("run.preflight", "all is there"),
    NodeFinished("run.preflight", "Succeeded", "", 0.1),
    NodeStarted("run.rounds", "rounds", "DAG", "run"),
    NodeStarted("run.rounds.visits", "visit", "TaskGroup", "run.rounds", {}, 4),
]

LOOK: list[Event] = [
    NodeStarted("run.rounds.look", "look", "Pod", "run.rounds"),
    NodeLog("run.rounds.look", "After 3 rounds all 6 comparisons are decided."),
    NodeFinished("run.rounds.look", "Succeeded", "", 1.0),
    NodeFinished("run.rounds", "Succeeded", "", 20.0),
]


def _progress(events: list[Event], expected_s: float | None = None, step_s: float = 0.0) -> RunProgress:
    progress = RunProgress(expected_s)
    for number, event in enumerate(events):
        progress.note(event, number * step_s)
    return progress


def test_display_identifies_visits_by_inputs() -> None:
    progress = _progress([*START, *_visit(1)[:5]])
    (line,) = progress.visits.values()
    assert line.title == "visit 1  lab-ebpf  round 2"
    assert (line.step, line.message, line.rate) == (
        "measure",
        "host network 2/2: steady",
        "pod-to-pod tcp forward: 5.21 Gbit/s",
    )
    assert line.progress == (3, 8)
    assert progress.expected_visits == 4
    assert progress.outside.message == "all is there"


def test_progress_of_a_visit_is_that_of_all_its_measuring_steps() -> None:
    visit = "run.rounds.visits(1)"
    events = [*_visit(1)[:5], NodeStarted("m2", "measure", "Pod", visit), NodeProgress("m2", 1, 2)]
    progress = _progress([*START, *events])
    (line,) = progress.visits.values()
    assert line.progress == (4, 10)
    progress.note(NodeStarted("c", "clear", "Pod", visit), 9.0)
    assert line.step == "clear"
    assert line.progress is None, "it tells none"
    progress.note(NodeLog("m2", "2/2: 5.21 Gbit/s"), 9.0)
    assert line.step == "measure", "the step that said something, beside the one that waits"
    assert line.progress == (4, 10)


def test_display_keeps_the_failure_of_a_visit() -> None:
    progress = _progress([*START, *_visit(1, "Failed")])
    assert [(line.failure, line.phase) for line in progress.done] == [("it broke", "Failed")]


def test_remaining_time_follows_plan_then_measured_times() -> None:
    progress = RunProgress(100.0)
    assert progress.left_s(0.0) == 100.0
    for event in START:
        progress.note(event, 0.0)
    assert progress.left_s(10.0) == 90.0
    for event in _visit(1)[:-1]:
        progress.note(event, 10.0)
    assert progress.left_s(20.0) == 90.0
    progress.note(_visit(1)[-1], 60.0)
    assert progress.left_s(60.0) == pytest.approx(3 * (50 + 25) / 2)
    assert 0.0 < progress.ratio(60.0) < 1.0


def test_display_expects_no_visit_after_the_last_look() -> None:
    progress = RunProgress(100.0, expected_visits=20)
    for event in [*START, *_visit(1)]:
        progress.note(event, 10.0)
    assert progress.expected_visits == 20
    assert progress.left_s(10.0) > 0  # type: ignore[operator]
    for event in LOOK:
        progress.note(event, 11.0)
    assert (progress.expected_visits, progress.left_s(11.0)) == (1, 0.0)


@given(st.lists(st.sampled_from([*START, *_visit(1), *_visit(2), *LOOK, WorkflowStopping("Stop")])), st.floats(0, 1e6))
def test_display_accepts_any_order_of_events(events: list[Event], expected_s: float) -> None:
    progress = _progress(events, expected_s, step_s=1.0)
    assert 0.0 <= progress.ratio(1e6) <= 1.0
    left = progress.left_s(1e6)
    assert left is None or left >= 0.0


def _shown(events: list[Event], *, terminal: bool) -> str:
    out = io.StringIO()
    # whatever terminal the tests are run in: a dumb one has no cursor to hide
    console = Terminal(file=out, force_terminal=terminal, width=100, color_system=None, _environ={"TERM": "xterm"})
    with TerminalDisplay(console, 40.0) as display:
        for event in events:
            display(event)
    return out.getvalue()


def test_log_output_has_plain_lines() -> None:
    shown = _shown([*START, *_visit(1), *_visit(2, "Failed"), WorkflowFinished("Failed", "why", 61.0)], terminal=False)
    assert "\x1b" not in shown
    assert shown.splitlines()[0].endswith("Waiting for a lock")
    assert "[0:00] visit 1  lab-ebpf  round 2: measure: pod-to-pod tcp forward: 5.21 Gbit/s" in shown
    assert "visit 1  lab-ebpf  round 2: succeeded in 10.0 s (1 visit, about 0:" in shown
    assert "visit 2  lab-ebpf  round 2: measure: failed: it broke" in shown
    assert shown.splitlines()[-1] == "[0:00] failed after 1:01: why"


def test_terminal_display_has_a_line_per_visit() -> None:
    shown = _shown([*START, *_visit(1), *_visit(2, "Failed"), *LOOK, WorkflowStopping("Stop")], terminal=True)
    assert "✓ visit 1  lab-ebpf  round 2" in shown
    assert "5.21 Gbit/s" in shown
    assert "✗ visit 2  lab-ebpf  round 2" in shown
    assert "it broke" in shown
    assert "After 3 rounds all 6 comparisons are decided." in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


@pytest.mark.parametrize("again", ["", "Stop again to end at once."])
def test_only_an_engine_that_ends_at_a_second_stop_says_so(again: str) -> None:
    shown = _shown([*START, WorkflowStopping("Stop", again)], terminal=False)
    assert shown.splitlines()[-1].endswith(f"what was measured is kept and reported. {again}".rstrip())


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (190, "3:10"), (3723, "1:02:03"), (59.7, "1:00")])
def test_duration_formatting(seconds: float, text: str) -> None:
    assert clock(seconds) == text
