"""Simulated runs as rows of a store, so that they are judged from there as real ones are."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from analysis.domain import MARGIN_RATIO
from analysis.store.files.arrow import to_table
from analysis.store.store import Store
from benchmarks.simulations.runs import Run, Scenario
from steps.catalogue import tools

_STARTED: Final = datetime(2026, 1, 1, 22, tzinfo=UTC)
_UNITS: Final = {"received_bps": 3e9, "cpu_s_per_gbit": 0.6, "connect_p50_s": 2e-4}
"""Columns of trials, and what the baseline has there."""


def write(store: Store, run_id: str, scenario: Scenario, run: Run) -> None:
    """Write a run that might have had the scenario's rounds, in an environment of its own: it has no earlier nights."""
    visits = list(_visits(scenario, run))
    rows = {
        "runs": [_run(run_id, scenario)],
        "visits": [visit for visit, _ in visits],
        "trials": [
            {"trial": number, "position": 1, "streams": 1, "repetition": 1} | trial
            for number, trial in enumerate((trial for _, trials in visits for trial in trials), 1)
        ],
    }
    store.write_tables(run_id, {table: to_table(table, run_id, found) for table, found in rows.items()})


def _run(run_id: str, scenario: Scenario) -> dict[str, Any]:
    return {
        "started_at": _STARTED,
        "finished_at": _STARTED + timedelta(minutes=20),
        "environment": run_id,
        "trigger": "ad-hoc",
        "seed": 1,
        "parameters": {
            "profile": "simulated",
            "dataplanes": [{"name": arm} for arm in scenario.arms],
            "cells": [cell._asdict() for cell in scenario.cells],
            "rounds": scenario.rounds,
            "margin_ratio": MARGIN_RATIO,
            "tools": [
                {"name": name, "tool": tool.name, "transport": variant.transport, "figures": variant.figures}
                for name, (tool, variant) in tools.VARIANTS.items()
            ],
        },
        "provenance": {},
        "verdict": {"outcome": "measured"},
    }


def _visits(scenario: Scenario, run: Run) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each visit that was measured, and its trials."""
    for place in range(scenario.rounds * len(scenario.arms)):
        number, arm = 1 + place // len(scenario.arms), scenario.arms[place % len(scenario.arms)]
        at = _STARTED + timedelta(minutes=place)
        trials = []
        for cell in scenario.cells:
            figures = {
                metric: _UNITS[metric] * value
                for metric, visits in run.items()
                for (_, round_number), value in visits.get((cell, arm), {}).items()
                if round_number == number
            }
            if figures:
                row = {"visit": place + 1, "started_at": at, "duration_s": 10.0, "outcome": "measured", "flags": []}
                trials.append(row | cell._asdict() | figures)
        if trials:
            yield (
                {
                    "visit": place + 1,
                    "round": number,
                    "dataplane_requested": arm,
                    "dataplane_observed": arm,
                    "proof": "proven",
                    "started_at": at,
                },
                trials,
            )
