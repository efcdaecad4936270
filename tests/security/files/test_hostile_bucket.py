"""Every document of a run as someone who may write to the artifact bucket has changed it.

Each costs its own rows and no others, in bounded time and memory, and none becomes a path, a command or another run.
"""

import gzip
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from analysis.store.files.arrow import to_table
from analysis.store.schema import TABLES
from steps import documents
from steps.collect.run_rows import run_rows
from steps.tasks.shared.pod import ACCOUNTS
from tests.security.entrypoints import MANIFEST
from tests.steps import builders
from tests.steps.builders import AT, RUN_ID, write_run
from tests.steps.tasks.run_task import run_task

LAB = {"BENCHMARK_ENVIRONMENT": "lab"}
Row = dict[str, Any]
Tables = dict[str, list[Row]]
CHOSEN = builders.settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf+twin")
SECRET = "root:x:0:0:only-in-the-linked-file"
ESCAPES = "\x1b]0;title\x07\x1b[2J[/nope]<script>alert(1)</script>\u202e"


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*.json*") if path.is_file())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The documents of a complete run of two visits."""
    folder = tmp_path / "inputs" / "artifacts" / "documents"
    write_run(folder, CHOSEN, RUN_ID)
    documents.write_document(folder / documents.RESTORE, documents.Restore(finished_at=AT))
    return folder


def write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(gzip.compress(data, compresslevel=1) if path.suffix == ".gz" else data)


def linked(path: Path) -> None:
    secret = path.parents[3] / "secret"
    secret.write_text(SECRET)
    path.unlink()
    path.symlink_to(secret)


def looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def waiting(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS: dict[str, Callable[[Path], None]] = {
    "bomb": lambda path: write(path, b" " * 20_000_000),
    "values": lambda path: write(path, b'{"visit": 1, "signs": [' + b"1," * 1_200_000 + b"1]}"),
    "keys": lambda path: write(path, b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b"}"),
    "deep": lambda path: write(path, b'{"a":' * 100_000),
    "text": lambda path: write(path, json.dumps({"visit": 1, "error": "x" * 1_000_000}).encode()),
    "digits": lambda path: write(path, b'{"visit": ' + b"9" * 100_000 + b"}"),
    "bytes": lambda path: write(path, b"\xff\xfe\x00"),
    "link": linked,
    "loop": looped,
    "device": endless,
    "pipe": waiting,
    "folder": folder,
}


def collected(run: Path) -> Tables:
    """The rows, each of which its table takes."""
    tables = run_rows(run, RUN_ID, collected_at=AT)
    for name in TABLES:
        to_table(name, RUN_ID, tables[name])
    return tables


TRIAL, REFERENCE = "0002.json.gz", "host-network/0001.json.gz"


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, harm) for name in ("settle.json", TRIAL) for harm in HARMS),
        *((name, "deep") for name in ("preflight.json", "restore.json", "configure.json", REFERENCE)),
        *((name, "link") for name in ("prepare.json", "clear.json")),
    ],
)
def test_hostile_document_costs_its_own_rows_only(run: Path, name: str, harm: str) -> None:
    path = next(path for path in files_of(run) if path.match(f"*/{name}") and "visit-02" not in path.parts)
    used_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    HARMS[harm](path)
    tables = collected(run)
    trials = tables["trials"]
    assert [row["trial"] for row in trials] == [1, 2, 3, 4, 5, 6]
    assert {row["outcome"] for row in trials if row["visit"] == 2} == {"measured"}
    if name == TRIAL:
        assert [row["outcome"] for row in trials] == ["measured", "failed", *["measured"] * 4]
    assert SECRET not in json.dumps(tables, default=str)
    assert not any("\n" in (row.get("error") or "") for row in (*trials, *tables["visits"]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used_kb < 400_000


@pytest.mark.parametrize("harm", HARMS)
def test_hostile_run_json_is_one_sentence(run: Path, harm: str) -> None:
    HARMS[harm](run / documents.RUN)
    with pytest.raises(Problem, match=r"run\.json") as caught:
        collected(run)
    assert SECRET not in str(caught.value)


LEAVES: tuple[object, ...] = (
    2**70, -1, 1e308, -1e308, "x" * 200_000, ESCAPES, {"a": 1}, [], None, True, "../../..", "NaN", RUN_ID,
    "9999-12-31T23:59:59", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
)  # fmt: skip


def leaves(place: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(place, dict):
        return [leaf for key, value in place.items() for leaf in leaves(value, (*path, key))]
    if isinstance(place, list):
        return [leaf for key, value in enumerate(place) for leaf in leaves(value, (*path, key))]
    return [path]


def replaced(path: Path, leaf: tuple[str | int, ...], value: object) -> None:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    document: Any = json.loads(text)
    place = document
    for key in leaf[:-1]:
        place = place[key]
    place[leaf[-1]] = value
    write(path, json.dumps(document).encode())


@settings(max_examples=40)
@given(st.data())
def test_any_hostile_value_costs_its_own_rows_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = tmp_path_factory.mktemp("run")
    write_run(run, CHOSEN, RUN_ID)
    path = data.draw(st.sampled_from([path for path in files_of(run) if path.name != documents.RUN]))
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    leaf = data.draw(st.sampled_from(leaves(json.loads(text))))
    replaced(path, leaf, data.draw(st.sampled_from(LEAVES)))
    tables = collected(run)
    assert [row["trial"] for row in tables["trials"]] == [1, 2, 3, 4, 5, 6]
    of_other = {"visit-01": 2, "visit-02": 1}.get(path.relative_to(run).parts[0])
    assert {row["outcome"] for row in tables["trials"] if row["visit"] == of_other} <= {"measured"}


WHOLE = json.loads(CHOSEN.model_dump_json())
CELL = WHOLE["cells"][0]
HOSTILE_RUNS: dict[str, tuple[tuple[str | int, ...], object]] = {
    "plan": (("settings",), {**WHOLE, "rounds": 1_000, "repetitions": 1_000}),
    "dataplanes": (("settings",), {**WHOLE, "dataplanes": ["lab-iptables"] * 250, "rounds": 1_000}),
    "arms": (("settings", "dataplanes"), ["lab-iptables"] * 251),
    "path": (("settings", "cells"), [{**CELL, "topology": "../../other/visit-01/pod-to-pod"}]),
    "absolute path": (("settings", "cells"), [{**CELL, "topology": "/etc"}]),
    "cells": (("settings", "cells"), [CELL] * 101),
    "duration": (("settings", "duration_s"), 10**9),
    "another run": (("run_id",), "night-fedcba98-7654-3210-fedc-ba9876543210"),
    "a path as run": (("run_id",), "../night"),
    "last day": (("started_at",), "9999-12-31T23:59:59Z"),
    "no zone": (("started_at",), "2026-11-20T02:00:00"),
    "clock": (("started_mark",), {"boot_id": "b", "since_boot_s": 1e308}),
    "colour": (("dataplanes", 0, "colour"), "red'/><script>"),
    "another environment": (("settings", "environment"), "prod"),
    "trigger": (("trigger",), "cron"),
    "field": (("command",), ["id"]),
}


@pytest.mark.parametrize("kind", HOSTILE_RUNS)
def test_hostile_run_json_stores_nothing(run: Path, tmp_path: Path, kind: str) -> None:
    replaced(run / documents.RUN, *HOSTILE_RUNS[kind])
    ended = run_task("steps.tasks.collect:collect", {}, tmp_path, LAB)
    assert ended.code == 1
    assert ended.message.startswith("run.json is ")
    assert not (tmp_path / "store").exists()


def test_hostile_texts_are_data(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replaced(run / "visit-01" / documents.CONFIGURE, ("changes", 0, "command"), ESCAPES)
    replaced(next(run.glob("visit-01/pod-*/*.json.gz")), ("attempts", 0, "error"), ESCAPES)
    nested: object = ESCAPES
    for _ in range(100):
        nested = {"a": nested}
    replaced(run / documents.PREFLIGHT, ("provenance", "kernel"), nested)
    assert run_task("steps.tasks.collect:collect", {}, tmp_path, LAB).code == 0
    (shown,) = capsys.readouterr().err.splitlines()
    assert set(shown.split(", ")) == {"1 failed", "5 measured"}


def test_no_step_that_may_use_the_api_reads_the_bucket() -> None:
    """What such a step read there would decide what is done to the cluster."""
    readers = {
        template["name"]: template["serviceAccountName"]
        for template in MANIFEST["spec"]["templates"]
        if template.get("inputs", {}).get("artifacts")
    }
    assert readers == dict.fromkeys(("measure", "look", "collect", "recollect"), ACCOUNTS["measure"])


@pytest.mark.parametrize("harm", HARMS)
def test_hostile_placements_measure_nothing(
    run: Path, tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = tmp_path / "inputs" / "artifacts" / "prepared"
    (run / "visit-01" / documents.PREPARE).rename(prepared)
    for function in ("measure_trials", "measure_references"):
        monkeypatch.setattr(f"steps.tasks.measure.{function}", lambda *_: pytest.fail("measured"))
    HARMS[harm](prepared)
    inputs = {
        "settings": CHOSEN.model_dump_json(), "visit": "01", "what": "host-network", "client-node": "node-a",
        "network": "pod", "timeout": "60s", "title": "host",
    }  # fmt: skip
    ended = run_task("steps.tasks.measure:measure", inputs, tmp_path, LAB)
    assert ended.code == 1
    assert ended.message.startswith("prepared ")
    assert SECRET not in ended.message
