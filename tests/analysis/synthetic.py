"""Synthetic runs with a known truth, in the tables of `analysis.store.schema`."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from analysis.domain import Cell as Measured
from analysis.domain import StoredScale
from analysis.sql.database import connect
from analysis.stats.nights.regressions import LevelChange
from analysis.store.schema import TABLES
from analysis.store.store import Store
from analysis.summary.run import summary
from steps.catalogue.options import method
from tests.analysis import copies

Cell = tuple[str, str, str]
"""Topology, short name of what measures it, direction."""

TOOLS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "tool": tool, "transport": transport, "figures": figures.split()}
    for name, tool, transport, figures in (
        ("tcp", "iperf3", "tcp", "received_bps sent_bps retransmits rtt_s"),
        ("udp", "iperf3", "udp", "received_bps sent_bps lost_packets total_packets jitter_s"),
        ("connect", "tcp_connect", "tcp", "connects_per_s connect_p50_s connect_p99_s"),
        ("connect-8", "tcp_connect_8", "tcp", "connects_per_s connect_p50_s connect_p99_s connect_p999_s"),
        (
            *("ping-pong-load90", "sockperf_load90", "tcp"),
            "response_p50_s response_p90_s response_p99_s response_p999_s response_worst_s",
        ),
        (
            *("service-added", "service_added", "tcp"),
            "programming_p50_s programming_p99_s programming_worst_s programming_failed kernel_memory_bytes",
        ),
        ("rules-update", "rules_update", "tcp", "update_p50_s update_p99_s update_worst_s kernel_memory_bytes"),
        (
            *("ladder-512", "ladder_512", "udp"),
            "bounded_loss_bps bounded_loss_packets_per_s bounded_loss_ratio most_sent_bps",
        ),
    )
)


def measured(cell: Cell) -> Measured:
    """A cell with the tool and the transport of its short name."""
    (entry,) = (entry for entry in TOOLS if entry["name"] == cell[1])
    return Measured(cell[0], entry["tool"], entry["transport"], cell[2])


QUICK: tuple[Cell, ...] = (
    ("node-to-node", "tcp", "forward"),
    ("pod-to-pod", "tcp", "forward"),
    ("pod-to-service", "tcp", "forward"),
    ("pod-to-pod-same-node", "tcp", "forward"),
    ("external-to-nodeport", "tcp", "reverse"),
    ("pod-to-service", "udp", "forward"),
    ("pod-to-service", "connect", "forward"),
)
LATENCY: tuple[Cell, ...] = (
    *QUICK,
    ("pod-to-service", "connect-8", "forward"),
    ("pod-to-service", "ladder-512", "forward"),
    ("pod-to-service", "ping-pong-load90", "forward"),
)
"""With connections that open together, a ladder, and requests beside a load."""

BASE_BPS = {
    "node-to-node": 5.3e9,
    "pod-to-pod": 3.0e9,
    "pod-to-service": 2.9e9,
    "pod-to-pod-same-node": 9.1e9,
    "external-to-nodeport": 2.4e9,
}
ENTRIES = (
    {"name": "alpha", "title": "Alpha", "colour": "#0072B2"},
    {"name": "beta", "title": "Beta", "colour": "#E69F00"},
    {"name": "gamma", "title": "Gamma", "colour": "#009E73"},
    {"name": "delta", "title": "Delta + return", "colour": "#CC79A7"},
)
GAINS: dict[str, float] = {"alpha": 1.0, "beta": 1.01, "gamma": 1.6, "delta": 1.75}


@dataclass(frozen=True)
class Recipe:
    """A run to make up. `gains`: each dataplane's true throughput by the first's, but node to node, where it is 1."""

    run_id: str = "run-1"
    environment: str = "lab"
    trigger: str = "local"
    kernel: str = "6.18.5"
    entries: tuple[dict[str, str], ...] = ENTRIES
    gains: Mapping[str, float] = field(default_factory=lambda: GAINS)
    cells: tuple[Cell, ...] = QUICK
    rounds: int = 6
    repetitions: int = 1
    between: float = 0.02
    within: float = 0.03
    seed: int = 7
    started_at: datetime = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
    fail: frozenset[tuple[str, str]] = frozenset()  # dataplane, topology
    unproven: frozenset[int] = frozenset()  # visits
    stop_after: int | None = None  # trials
    skipped: tuple[dict[str, str], ...] = ()  # findings of the preflight
    left_out: frozenset[str] = frozenset()  # dataplanes without a visit
    dealt: bool = False  # to the dataplanes, as the run says
    references: bool = False  # of the host network, beside each trial
    scales: tuple[StoredScale, ...] = (StoredScale(1000),)
    slower: Callable[[str, StoredScale], float] = lambda _dataplane, _scale: (
        1.0
    )  # connections at a scale, so many times
    broken: Mapping[str, int] = field(default_factory=dict)  # dataplane -> connections, of 4, in each switch to it


def summarise(con: duckdb.DuckDBPyConnection, run_id: str) -> summary.Summary:
    """The summary of a run, compared with nights as the program compares them."""
    return summary.summarise(con, run_id, method)


def regressions(found: summary.Summary) -> list[LevelChange]:
    """Its recent changes for the worse by the limit or more."""
    return [change for change in found.changes if change.status == "regression"]


def nights(
    count: int, changed: Mapping[str, tuple[int, float]], recipe: Recipe | None = None, until: int | None = None
) -> list[Recipe]:
    """Runs of so many nights, `night-00` first.

    Args:
        count: of nights.
        changed: dataplane -> (night, factor): from that night on, counted from 0, its throughput is so many times it.
        recipe: what each night is but its name, its date, its seed and its gains.
        until: the night from which on everything is as before; never if left out.
    """
    recipe = recipe or Recipe()
    found = []
    for night in range(count):
        now = {n: f for n, (since, f) in changed.items() if since <= night < (count if until is None else until)}
        gains = {name: gain * now.get(name, 1.0) for name, gain in recipe.gains.items()}
        at = recipe.started_at + timedelta(days=night)
        found.append(replace(recipe, run_id=f"night-{night:02}", started_at=at, seed=100 + night, gains=gains))
    return found


def rows(recipe: Recipe) -> dict[str, list[dict[str, Any]]]:
    """The rows of the four tables."""
    dice = random.Random(recipe.seed)
    visits: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    for block in range(1, recipe.rounds + 1):
        order = [entry["name"] for entry in recipe.entries if entry["name"] not in recipe.left_out]
        dice.shuffle(order)
        for name in order:
            visit = len(visits) + 1
            visits.append(_visit(recipe, visit, block, name))
            luck = dice.gauss(0, recipe.between)
            planned = [(c, r, s) for s in recipe.scales for c in recipe.cells for r in range(1, recipe.repetitions + 1)]
            dice.shuffle(planned)
            for position, (cell, repetition, scale) in enumerate(planned, 1):
                trial = len(trials) + 1
                noise = luck + dice.gauss(0, recipe.within)
                at = recipe.started_at + timedelta(seconds=2 * trial)
                row = _trial(recipe, (visit, trial, position), name, cell, repetition, noise, at)
                trials.append(_scaled(row, recipe.slower(name, scale)) | scale._asdict())
    last = recipe.started_at + timedelta(seconds=2 * len(trials))
    run = {
        "run_id": recipe.run_id,
        "started_at": recipe.started_at,
        "finished_at": last,
        "environment": recipe.environment,
        "trigger": recipe.trigger,
        "seed": recipe.seed,
        "parameters": json.dumps(
            {
                "profile": "quick",
                "dataplanes": list(recipe.entries),
                "skipped": list(recipe.skipped),
                "cells": [dict(list(measured(cell)._asdict().items())[:4]) for cell in recipe.cells],
                "tools": TOOLS,
                "rounds": recipe.rounds,
                "duration_s": 1,
                "repetitions": recipe.repetitions,
                "services": [scale.services for scale in recipe.scales],
                "seed": recipe.seed,
                **({"dealt": True} if recipe.dealt else {}),
            }
        ),
        "provenance": json.dumps(
            {
                "kernel": recipe.kernel,
                "cpu_model": "A processor <with brackets> & Co",
                "cores": 2,
                "iperf3": "3.12",
                "mtu_bytes": {"eth0": 1450, "ul0": 1500},
                "offloads": {"tso": "off", "gso": "off", "gro": "off"},
                "governor": None,
            }
        ),
        "verdict": None,
    }
    return {"runs": [run], "visits": visits, "trials": trials, "samples": []}


def _visit(recipe: Recipe, visit: int, block: int, name: str) -> dict[str, Any]:
    proven = visit not in recipe.unproven
    at = recipe.started_at + timedelta(seconds=20 * visit)
    signs = [
        {
            "moment": moment,
            "node": node,
            "looked_at": "packets counted by the Service's rules",
            "seen": "4,096 packets",
            "at": at,
            "indicates": [name],
        }
        for moment in ("before", "after")
        for node in ("node-a", "node-b")
    ]
    return {
        "run_id": recipe.run_id,
        "visit": visit,
        "round": block,
        "dataplane_requested": name,
        "dataplane_observed": name if proven else None,
        "proof": "proven" if proven else "unproven",
        "proof_reason": None if proven else "no sign on node-b told which dataplane carried the traffic",
        "evidence": signs,
        "changes": ["nft -f rules.nft"],
        "started_at": at,
        "switch_s": 0.09,
        "settle_s": 0.31,
        "connections_held": 4 if recipe.environment != "lab" else None,
        "connections_dropped": recipe.broken.get(name, 0) if recipe.environment != "lab" else None,
        "new_connections_failed": 3 * (name == "beta") if recipe.environment != "lab" else None,
        "tcp_longest_gap_s": 12.5 if recipe.environment != "lab" else None,
        "idle_nodes": [_usage(0.02)],
        "canary_before_bps": 5.2e9,
        "canary_after_bps": 5.3e9,
        "error": None,
    }


def _usage(busy: float) -> dict[str, Any]:
    return {
        "node": "host",
        "side": "both",
        "cores": 2,
        "user_ratio": busy * 0.05,
        "nice_ratio": 0.0,
        "system_ratio": busy * 0.55,
        "iowait_ratio": 0.0,
        "irq_ratio": 0.0,
        "softirq_ratio": busy * 0.4,
        "steal_ratio": 0.001,
        "idle_ratio": 1 - busy,
        "busy_ratio": busy,
        "busy_above_idle_ratio": max(0.0, busy - 0.02),
        "softirq_by_core_ratio": [busy * 0.5, busy * 0.3],
        "steal_by_core_ratio": [0.001, 0.001],
        "memory_used_bytes": 812_000_000,
    }


def _trial(  # noqa: C901, PLR0911 - one for each kind of tool
    recipe: Recipe,
    numbers: tuple[int, int, int],
    name: str,
    cell: Cell,
    repetition: int,
    noise: float,
    at: datetime,
) -> dict[str, Any]:
    topology, by, _ = cell
    visit, trial, position = numbers
    row: dict[str, Any] = dict.fromkeys(column.name for column in TABLES["trials"])
    row |= {"run_id": recipe.run_id, "visit": visit, "trial": trial, "position": position}
    row |= measured(cell)._asdict() | {"streams": 1, "repetition": repetition}
    row |= {"attempts": 1, "flags": [], "outcome": "measured"}
    if recipe.stop_after is not None and trial > recipe.stop_after:
        return row | {"outcome": "not-run", "error": "the run ended before it"}
    row |= {"started_at": at, "duration_s": 1.0}
    if (name, topology) in recipe.fail:
        return row | {"outcome": "failed", "error": "iperf3: unable to connect to server: Connection refused"}
    gain = 1.0 if topology == "node-to-node" else recipe.gains.get(name, 1.0)
    size = 2.718281828459045**noise * gain
    if by == "ping-pong-load90":
        shares = {"p50": 40e-6, "p90": 90e-6, "p99": 400e-6, "p999": 2e-3, "worst": 9e-3}
        times = {f"response_{share}_s": time_s / size for share, time_s in shares.items()}
        return row | times | {"transactions_per_s": 2e4 * size, "load_ratio": 0.9, "nodes": [_usage(0.9)]}
    if by == "service-added":
        agents = {"felix_memory_bytes": int(120e6 / size), "felix_cpu_ratio": 0.2 / size}
        agents |= {"kube_proxy_memory_bytes": int(60e6 / size), "kube_proxy_cpu_ratio": 0.3 / size}
        agents |= {"kernel_memory_bytes": int(300e6 / size)}
        times = {"programming_p50_s": 0.05 / size, "programming_p99_s": 0.2 / size}
        observed = [0.002 * number / size for number in range(1, 31)]
        found = {"programming_observed": len(observed), "programming_failed": 0, "programming_s": observed}
        return row | agents | times | found | {"api_read_p50_s": 0.003, "api_read_worst_s": 0.02}
    if by == "rules-update":
        updates = {"update_p50_s": 0.01 / size, "updates": 40, "updates_failed": 0}
        return row | updates | {"kernel_memory_bytes": int(20e6 / size)}
    if by == "ladder-512":
        found = {"bounded_loss_bps": 2e8 * size, "bounded_loss_packets_per_s": 5e4 * size}
        return row | found | {"bounded_loss_ratio": 5e-4, "most_sent_bps": 1.5e9, "nodes": [_usage(0.9)]}
    if by in {"connect", "connect-8"}:
        return row | {
            "connect_p999_s": 900e-6 / size if by == "connect-8" else None,
            "connects_per_s": 4000 * size,
            "connect_p50_s": 233e-6 / size,
            "connect_p99_s": 480e-6 / size,
            "nodes": [_usage(0.8)],
        }
    rate = BASE_BPS.get(topology, 1e9) * size * (0.22 if by == "udp" else 1.0)
    row |= {
        "received_bps": rate,
        "sent_bps": rate * (1.4 if by == "udp" else 1.0),
        "nodes": [_usage(0.93)],
        "cpu_s_per_gbit": 0.93 * 2 / (rate / 1e9),
        "block_size_bytes": 1400 if by == "udp" else 131072,
        "mtu_bytes": 1450,
        "foreign_cpu_ratio": 0.01,
        "host_network_bps": BASE_BPS["node-to-node"] * 2.718281828459045 ** (noise / 2) if recipe.references else None,
    }
    if by == "udp":
        row |= {"total_packets": 100_000, "lost_packets": int(28_000 / gain), "jitter_s": 2e-5}
    else:
        row |= {"retransmits": 12, "rtt_s": 0.4e-3, "congestion_control": "cubic"}
    if topology == "external-to-nodeport":
        row["nat_bytes_per_payload_byte"] = 0.003 if name == "delta" else 1.05
    if trial % 29 == 0:
        row["flags"] = ["foreign-cpu"]
    return row


def _scaled(row: dict[str, Any], slower: float) -> dict[str, Any]:
    """The row of a trial that connects, or waits for a change to work, so many times slower."""
    times = ("connect_p50_s", "connect_p99_s", "connect_p999_s", "programming_p50_s")
    return row | {name: row[name] * slower for name in times if row[name] is not None}


def database(root: Path, *recipes: Recipe) -> duckdb.DuckDBPyConnection:
    """A store below `root` with these runs, opened."""
    return connect(stored(root, *recipes), asking="")


def stored(root: Path, *recipes: Recipe) -> Store:
    """A store below `root` with these runs, beside those that it has."""

    def write(store: Store) -> None:
        for recipe in recipes:
            store.write(recipe.run_id, rows(recipe))

    return copies.stored(root, recipes, write)
