"""A store of runs that never happened, as large as years of nights make it, for timing queries and reports."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from analysis.domain import Cell
from analysis.store.files.arrow import to_table
from analysis.store.schema import arrow_schema
from analysis.store.store import Store

DATAPLANES: Final = (
    {"name": "lab-iptables", "title": "iptables (lab)", "colour": "#0072B2"},
    {"name": "lab-nftables", "title": "nftables (lab)", "colour": "#E69F00"},
    {"name": "lab-ebpf", "title": "eBPF (lab)", "colour": "#009E73"},
    {"name": "lab-ebpf-dsr", "title": "eBPF + DSR (lab)", "colour": "#CC79A7"},
)
GAINS: Final = {"lab-iptables": 1.0, "lab-nftables": 1.02, "lab-ebpf": 1.6, "lab-ebpf-dsr": 1.7}
CELLS: Final = (
    Cell("node-to-node", "iperf3", "tcp", "forward"),
    Cell("pod-to-pod", "iperf3", "tcp", "forward"),
    Cell("pod-to-service", "iperf3", "tcp", "forward"),
    Cell("external-to-nodeport", "iperf3", "tcp", "reverse"),
    Cell("pod-to-service", "iperf3", "udp", "forward"),
    Cell("pod-to-service", "tcp_connect", "tcp", "forward"),
)
ROUNDS: Final = 5
SIDES: Final = ("sender", "receiver", "node-a", "node-b")
EPOCH: Final = datetime(2023, 1, 1, 22, tzinfo=UTC)


def write_runs(store: Store, runs: int, samples_per_run: int, seed: int = 7) -> None:
    """Write runs, one a night, in two environments taken in turn, each trial with its share of the samples."""
    dice = np.random.default_rng(seed)
    for night in range(runs):
        run_id = f"night-{night:05d}"
        store.write_tables(run_id, make(run_id, night, samples_per_run, dice))


def make(run_id: str, night: int, samples: int, dice: np.random.Generator) -> dict[str, pa.Table]:
    """The four tables of one run."""
    started = EPOCH + timedelta(days=night)
    trials = list(_trials(started, dice))
    rows = {
        "runs": [_run(night, started)],
        "visits": [_visit(started, visit, dataplane) for visit, dataplane in _visits()],
        "trials": trials,
    }
    tables = {table: to_table(table, run_id, [{"run_id": run_id} | row for row in rows[table]]) for table in rows}
    return tables | {"samples": _samples(run_id, len(trials), samples, dice)}


def _visits() -> Iterator[tuple[int, dict[str, str]]]:
    for visit in range(ROUNDS * len(DATAPLANES)):
        yield visit + 1, DATAPLANES[(visit + visit // len(DATAPLANES)) % len(DATAPLANES)]


def _run(night: int, started: datetime) -> dict[str, Any]:
    return {
        "started_at": started,
        "finished_at": started + timedelta(minutes=20),
        "environment": "lab" if night % 2 else "cluster-a",
        "trigger": "nightly",
        "seed": night,
        "parameters": {
            "profile": "standard",
            "dataplanes": list(DATAPLANES),
            "cells": [cell._asdict() for cell in CELLS],
            "rounds": ROUNDS,
            "duration_s": 10,
            "repetitions": 1,
            "seed": night,
        },
        "provenance": {"kernel": "6.18.5", "cpu_model": "synthetic", "iperf3": "3.12", "offloads": {"tso": "off"}},
        "verdict": json.dumps({"outcome": "measured"}),
    }


def _visit(started: datetime, visit: int, dataplane: dict[str, str]) -> dict[str, Any]:
    at = started + timedelta(minutes=visit)
    sign = {"looked_at": "conntrack entries", "seen": "6", "at": at, "indicates": [dataplane["name"]]}
    return {
        "visit": visit,
        "round": (visit - 1) // len(DATAPLANES) + 1,
        "dataplane_requested": dataplane["name"],
        "dataplane_observed": dataplane["name"],
        "proof": "proven",
        "evidence": [sign | {"moment": m, "node": n} for m in ("before", "after") for n in ("node-a", "node-b")],
        "changes": ["nft -f rules.nft"],
        "started_at": at,
        "switch_s": 0.1,
        "settle_s": 0.3,
        "idle_nodes": [_usage(0.02)],
        "canary_before_bps": 5.2e9,
        "canary_after_bps": 5.3e9,
    }


def _usage(busy: float) -> dict[str, Any]:
    shares = {"user_ratio": 0.05, "system_ratio": 0.55, "softirq_ratio": 0.4}
    return {name: busy * share for name, share in shares.items()} | {
        "node": "host",
        "side": "both",
        "cores": 2,
        "busy_ratio": busy,
        "idle_ratio": 1 - busy,
        "busy_above_idle_ratio": max(0.0, busy - 0.02),
        "softirq_by_core_ratio": [busy * 0.5, busy * 0.3],
        "memory_used_bytes": 812_000_000,
    }


def _trials(started: datetime, dice: np.random.Generator) -> Iterator[dict[str, Any]]:
    number = 0
    for visit, dataplane in _visits():
        luck = dice.normal(0, 0.02)
        for position, cell in enumerate(CELLS, 1):
            number += 1
            gain = 1.0 if cell.topology == "node-to-node" else GAINS[dataplane["name"]]
            size = float(np.exp(luck + dice.normal(0, 0.03))) * gain
            row: dict[str, Any] = {"visit": visit, "trial": number, "position": position}
            row |= cell._asdict() | {"streams": 1, "repetition": 1}
            row |= {"started_at": started + timedelta(seconds=10 * number), "duration_s": 10.0, "outcome": "measured"}
            row |= {"nodes": [_usage(0.9)], "attempts": 1, "flags": [], "services": 1000, "mtu_bytes": 1450}
            if cell.tool == "tcp_connect":
                row |= {"connects_per_s": 4000 * size, "connect_p50_s": 2e-4 / size, "connect_p99_s": 5e-4 / size}
            else:
                row |= {"sent_bps": 3e9 * size, "received_bps": 3e9 * size, "cpu_s_per_gbit": 0.6 / size}
            if cell.transport == "udp":
                row |= {"total_packets": 100_000, "lost_packets": 2000, "jitter_s": 2e-5}
            yield row


def _samples(run_id: str, trials: int, samples: int, dice: np.random.Generator) -> pa.Table:
    number = np.arange(samples)
    per_trial = -(-samples // trials)
    within = number % per_trial
    monitor = within % len(SIDES) >= len(SIDES) // 2
    given: dict[str, Any] = {
        "run_id": pa.array([run_id] * samples),
        "trial": number // per_trial + 1,
        "side": np.array(SIDES)[within % len(SIDES)],
        "source": np.where(monitor, "monitor", "iperf3"),
        "offset_s": (within // len(SIDES)).astype(float),
        "duration_s": np.ones(samples),
        "omitted": np.zeros(samples, dtype=bool),
        "bps": pa.array(dice.normal(3e9, 1e8, samples), mask=monitor),
        "rtt_s": pa.array(dice.normal(4e-4, 4e-5, samples), mask=monitor),
        "busy_ratio": pa.array(dice.uniform(0.8, 1.0, samples), mask=~monitor),
        "softirq_ratio": pa.array(dice.uniform(0.2, 0.4, samples), mask=~monitor),
    }
    schema = arrow_schema("samples")
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(samples, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
