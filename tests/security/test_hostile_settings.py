"""Settings, visits and topologies beyond what a run may have, given to each step as if they were its workflow's."""

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from steps.catalogue.factors import MOST_ENDPOINTS, MOST_SCALES
from steps.catalogue.options import Settings
from steps.domain import MOST_TRIALS
from steps.settings.schedule import make_schedule
from steps.settings.settings import load_settings
from tests.security.entrypoints import (
    SETTINGS,
    valid,
)
from tests.steps.tasks.run_task import Ended


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(SETTINGS), **fields})


CELL = json.loads(SETTINGS)["cells"][0]

BEYOND = {
    "services": changed(scales=[{"services": 50_000_000}]),
    "negative": changed(scales=[{"services": -1}]),
    "endpoints": changed(scales=[{"services": 45_000, "endpoints": 50}]),
    "no scale": changed(scales=[]),
    "many scales": changed(scales=[{"services": number} for number in range(51)]),
    "scales and an older number": changed(services=1),
    "rounds": changed(rounds=10**6),
    "plan": changed(rounds=1_000, repetitions=1_000),
    "visits": changed(rounds=251),
    "duration": changed(duration_s=86_401),
    "hours": changed(duration_s=86_400, rounds=100),
    "streams": changed(streams=10**9),
    "unknown dataplane": changed(dataplanes=["nope"]),
    "the lab's dataplane": changed(dataplanes=["lab-ebpf"]),
    "injected dataplane": changed(dataplanes=["ebpf+$(id)"]),
    "many dataplanes": changed(dataplanes=["ebpf"] * 251),
    "unknown topology": changed(cells=[{**CELL, "topology": "nope"}]),
    "path as a topology": changed(cells=[{**CELL, "topology": "../../../etc"}]),
    "unknown tool": changed(cells=[{**CELL, "tool": "sh"}]),
    "unknown field": changed(command="id"),
    "the lab's tool": changed(cells=[{**CELL, "tool": "rules_update", "transport": "tcp"}]),
    "long text": changed(label="x" * 200_000),
    "nested": "[" * 100_000,
    "not a number": changed().replace('"seed": 1', '"seed": NaN'),
    "bomb": json.dumps({"cells": [{}] * 5_000}),
}


@pytest.mark.parametrize("text", BEYOND.values(), ids=BEYOND.keys())
@pytest.mark.parametrize("name", ["configure", "snapshot", "measure"])
def test_settings_beyond_a_bound_are_refused_by_each_step(name: str, text: str, run_step: Callable[..., Ended]) -> None:
    ended = run_step(name, valid(name) | {"settings": text})
    assert ended.code == 2, ended.message
    assert "the settings that this step was given are not valid" in ended.message or "input settings" in ended.message


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(Settings.model_fields)), json_values)
@example("rounds", 250)
@example("scales", [{"services": 45_000}, {"policies": 10_000}])
def test_settings_that_pass_are_within_every_bound(field: str, value: object) -> None:
    loaded = None
    with contextlib.suppress(Problem):
        loaded = load_settings(changed(**{field: value}))
    if loaded is None:
        return
    assert 1 <= len(loaded.scales) <= MOST_SCALES
    assert all(scale.services * scale.endpoints <= MOST_ENDPOINTS for scale in loaded.scales)
    assert all(1 <= number <= MOST_TRIALS for number in (loaded.duration_s // 5 + 1, loaded.rounds, loaded.streams))
    assert sum(len(visit.trials) for visit in make_schedule(loaded)) <= MOST_TRIALS


@pytest.mark.parametrize("name", ["configure", "measure", "clear"])
@pytest.mark.parametrize("visit", ["00", "05", "999999999"])
def test_visit_beyond_the_plan_is_refused(name: str, visit: str, run_step: Callable[..., Ended]) -> None:
    ended = run_step(name, valid(name) | {"visit": visit})
    assert ended.code == 2
    assert "is not in this run's plan" in ended.message


def test_topology_that_the_visit_does_not_measure_is_refused(run_step: Callable[..., Ended]) -> None:
    for what in ("pod-to-pod", "refused", "visit-02", "canary-later"):
        assert run_step("measure", valid("measure") | {"what": what}).code == 2
