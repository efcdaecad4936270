"""A run's raw documents with one of them damaged: every planned trial stays a row, and no other row changes."""

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from analysis.errors import Problem
from analysis.store.files.arrow import to_table
from analysis.store.schema import TABLES
from steps import documents
from steps.collect import run_rows
from steps.settings import turn_order
from tests.fuzz import inputs, mutations
from tests.steps.builders import AT, settings, write_run

Row = dict[str, Any]
Tables = dict[str, list[Row]]
MAY_BE_NEGATIVE: Final = {"busy_above_idle_ratio", "cpu_s_per_gbit"}
CHOSEN: Final = settings(options="rounds=2 protocols=tcp,udp,connect", dataplanes="lab-iptables,lab-ebpf")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, CHOSEN)
    documents.write_document(folder / documents.RESTORE, documents.Restore(finished_at=AT))
    return folder


def collected(run: Path) -> Tables:
    tables: Tables = run_rows.run_rows(run, collected_at=AT)
    run_id = str(tables["runs"][0]["run_id"])
    for name in TABLES:
        stored = to_table(name, run_id, tables[name])
        assert stored.num_rows == len(tables[name])
        for row in tables[name]:
            for column, figure in numbers(row):
                assert math.isfinite(figure), column
                assert figure >= 0 or column in MAY_BE_NEGATIVE, (column, figure)
    for row in tables["trials"]:
        assert (row["outcome"] == "measured") == (row["error"] is None)
        assert row["error"] is None or "\n" not in row["error"]
    return tables


def numbers(row: Row, inside: tuple[str, ...] = ("parameters", "provenance")) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, dict) and name not in inside:
                yield from numbers(one)
            elif isinstance(one, int | float):
                yield name, one


def damaged(random: Random, path: Path) -> str:
    """Damage a document in place; the kind of damage."""
    packed = path.suffix == ".gz"
    whole = path.read_bytes()
    document = json.loads(gzip.decompress(whole) if packed else whole)
    attempts = document.get("attempts") or [document.get("attempt")]
    if attempts[-1] and attempts[-1]["stdout"] and random.random() < 0.4:
        kind, text = mutations.mutated(random, json.loads(attempts[-1]["stdout"]))
        attempts[-1]["stdout"] = text.decode(errors="backslashreplace")
        path.write_bytes(gzip.compress(json.dumps(document).encode(), compresslevel=1))
        return f"its program's output: {kind}"
    kind, text = mutations.mutated(random, document)
    if packed and random.random() < 0.1:
        cut = gzip.compress(text, compresslevel=1)
        path.write_bytes(random.choice((text, cut[: len(cut) // 2], cut + b"more", random.randbytes(100))))
        return "its packing"
    path.write_bytes(gzip.compress(text, compresslevel=1) if packed else text)
    return kind


@pytest.mark.slow(seconds=10)
def test_damaged_raw_document_affects_only_its_rows(run: Path) -> None:
    whole = collected(run)
    assert {row["outcome"] for row in whole["trials"]} == {"measured"}
    files = sorted(path for path in run.rglob("*.json*") if path.is_file())
    trials = {
        path: int(path.name.partition(".")[0])
        for path in files
        if path.name[0] == "0" and path.parent.name != turn_order.HOST_NETWORK
    }

    def try_one(random: Random) -> tuple[str, str]:
        path = random.choice(files)
        before = path.read_bytes()
        if random.random() < 0.05:
            other = random.choice(files)
            path.write_bytes(gzip.compress(other.read_bytes()) if other.suffix != path.suffix else other.read_bytes())
            kind = "another document"
        else:
            kind = damaged(random, path)
        try:
            found = collected(run)
        except Problem:
            assert path.name == documents.RUN, "without run.json nothing says what the run was; nothing else ends it"
            return f"{path.name}: {kind}", "refused"
        finally:
            path.write_bytes(before)
        if path.name == documents.RUN:
            return f"{path.name}: {kind}", "read"
        lost = touched(path, trials, whole)
        assert [row["trial"] for row in found["trials"]] == [row["trial"] for row in whole["trials"]] or (
            path.name == documents.PREFLIGHT
        )
        kept = {row["trial"]: row for row in found["trials"]}
        for row in whole["trials"]:
            assert row["trial"] in lost or kept[row["trial"]] == row
        assert of_others(found, lost) == of_others(whole, lost)
        name = "a trial" if path in trials else path.name
        own = [row["outcome"] for row in found["trials"] if row["trial"] in lost]
        return f"{name}: {kind}", "measured" if set(own) <= {"measured"} else "failed"

    counts = inputs.run("raw documents", try_one, ci=100, share=0.2)
    assert {"measured", "failed", "refused"} <= {end for _, end in counts}


def touched(path: Path, trials: dict[Path, int], whole: Tables) -> set[int]:
    """The trials whose rows may depend on a document."""
    if path in trials:
        return {trials[path]}
    visit = next((int(part.removeprefix("visit-")) for part in path.parts if part.startswith("visit-")), None)
    return {row["trial"] for row in whole["trials"] if visit in {None, row["visit"]}}


def of_others(tables: Tables, lost: set[int]) -> list[Row]:
    return [row for row in tables["samples"] if row["trial"] not in lost]
