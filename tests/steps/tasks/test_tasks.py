"""What all tasks share: a failure ends as a sentence that Argo shows, and nodes have names that Argo takes."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from steps.domain import Visit
from steps.measurement.trials import GRACE_S
from steps.settings import environment, turn_order
from steps.tasks.configure import measures
from steps.tasks.measure import placement_of
from steps.tasks.shared.step import ends_in_a_sentence, node_title
from tests.steps.builders import placement, settings, trial

TAKEN_BY_ARGO = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]")
"""The expression that Argo 4.1's controller holds a display name against."""


def _refused() -> None:
    raise BadInput("profile must be one of smoke and quick.")


def _forbidden() -> None:
    raise PermissionError(13, "Permission denied", "/tmp/there")


@pytest.mark.parametrize(
    ("step", "sentence", "code"),
    [
        (_refused, "profile must be one of smoke and quick.", 2),
        (_forbidden, "/tmp/there: Permission denied.", 1),
    ],
)
def test_step_error_is_one_sentence_in_log_and_message(
    step: object,
    sentence: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = tmp_path / "termination-log"
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(message))
    with pytest.raises(SystemExit) as ended:
        ends_in_a_sentence(step)()  # type: ignore[arg-type]
    assert ended.value.code == code
    assert message.read_text() == sentence
    assert capsys.readouterr().err == sentence + "\n"


def test_dag_node_names() -> None:
    assert node_title("pod-to-service", "ebpf", "visit-3") == "pod-to-service.ebpf.visit-3"


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1), min_size=1, max_size=4)
)
def test_any_arm_name_makes_a_valid_node_name(parts: list[str]) -> None:
    assert TAKEN_BY_ARGO.fullmatch(node_title("visit-1", *parts))


def test_host_network_uses_the_control_topology() -> None:
    places = [placement(topology="pod-to-pod"), placement(topology="node-to-node")]
    assert placement_of(places, turn_order.HOST_NETWORK).topology == "node-to-node"
    assert placement_of(places, "pod-to-pod").topology == "pod-to-pod"


def test_missing_environment_variables_are_a_problem() -> None:
    with pytest.raises(
        BadInput, match=r"BENCHMARK_RESULTS is not set: deploy again with the flags of the first time, `make deploy"
    ):
        environment.results({})
    assert environment.environment({"BENCHMARK_ENVIRONMENT": " prod "}) == "prod"


@pytest.mark.parametrize("durations_s", [(1,), (10, 10, 10), (3600,) * 4])
def test_every_measuring_step_outlasts_all_turns_of_its_visit(durations_s: tuple[int, ...]) -> None:
    trials = tuple(
        trial(trial=n, position=n, duration_s=s, topology="pod-to-pod") for n, s in enumerate(durations_s, 1)
    )
    visit = Visit(visit=1, round=1, dataplane="ebpf", trials=trials)
    places = {name: placement(topology=name) for name in ("node-to-node", "pod-to-pod")}
    limits_s = {item["what"]: int(item["timeout"].removesuffix("s")) for item in measures(visit, settings(), places)}
    assert list(limits_s) == ["host-network", "pod-to-pod"]
    turns_s = sum(s + GRACE_S for s in durations_s) + 2
    assert all(900 + turns_s < limit_s < 86_400 for limit_s in limits_s.values())
