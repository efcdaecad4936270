"""Damaged files of a store, and addresses of one: nothing is lost but the damaged file's own run, by name.

Whatever is shown of a damaged store is, figure for figure, what was put into it; so no damage can make a figure that is
negative, not finite or another run's.
"""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.errors import BadInput, Problem
from analysis.sql import database
from analysis.store import compaction
from analysis.store.files.parquet import to_parquet
from analysis.store.index.names import CHILDREN
from analysis.store.integrity.audit import EVERY
from analysis.store.storage import urls
from analysis.store.store import Store
from tests.analysis.store.stored import rows
from tests.fuzz import inputs

TABLES: Final = ("runs", *CHILDREN)
EVERY_FIFTH: Final = 5
"""So many inputs are looked at by SQL too, which costs ten times as much as the store's own stock of what counts."""

Mutation = Callable[[Random, bytes, "Stored"], bytes | None]
"""A file's content as it is found after the damage; None: the file is not there."""


@dataclass
class Stored:
    """A store that is damaged one file at a time, and put right again after each."""

    store: Store
    contents: dict[Path, bytes]
    runs_of: dict[Path, frozenset[str]]
    shown: dict[str, list[dict[str, Any]]]
    tried: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def make(cls, folder: Path) -> "Stored":
        """Five runs: three in packed files, two in files of their own, one of which has a row put for its verdict."""
        store = Store(str(folder))
        for number in range(5):
            store.write(f"run-{number}", rows(f"run-{number}", "x", trials=2 + number))
            if number == 2:
                with store.files.lock():
                    assert compaction.compact(store.files, pack_at=1, keep_loose=0) == 3
        store.keep_verdict("run-1", "{}")
        store.keep_verdict("run-3", "{}")
        contents = {path: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
        runs_of = {path: frozenset(pq.ParquetFile(path).read()["run_id"].to_pylist()) for path in contents}
        with closing(database.connect(store)) as con:
            return cls(store, contents, runs_of, _tables(con))


def _tables(con: database.Connection) -> dict[str, list[dict[str, Any]]]:
    return {name: database.query(con, f"select * from {name} order by all").to_pylist() for name in TABLES}


def flip_bits(random: Random, content: bytes, _: Stored) -> bytes:
    changed = bytearray(content)
    for _number in range(random.choice((1, 1, 1, 2, 8, 64))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def change_the_footer(random: Random, content: bytes, _: Stored) -> bytes:
    changed = bytearray(content)
    length = int.from_bytes(content[-8:-4], "little")
    for _number in range(random.choice((1, 2, 4))):
        changed[random.randrange(len(changed) - length - 8, len(changed))] = random.randrange(256)
    return bytes(changed)


def cut_short(random: Random, content: bytes, _: Stored) -> bytes:
    return content[: random.randrange(len(content))]


def lose_the_middle(random: Random, content: bytes, _: Stored) -> bytes:
    begin = random.randrange(len(content))
    return content[:begin] + content[random.randrange(begin, len(content)) + 1 :]


def blank_a_stretch(random: Random, content: bytes, _: Stored) -> bytes:
    begin = random.randrange(len(content))
    length = random.randrange(1, 4096)
    return (content[:begin] + bytes(length) + content[begin + length :])[: len(content)]


def insert_bytes(random: Random, content: bytes, _: Stored) -> bytes:
    begin = random.randrange(len(content))
    return content[:begin] + random.randbytes(random.randrange(1, 64)) + content[begin:]


def garbage(random: Random, content: bytes, _: Stored) -> bytes:
    made = random.randbytes(random.randrange(200))
    return random.choice((made, b"PAR1" + made + b"PAR1", b"PAR1" + made + content[-40:], content + content, b""))


def swap(random: Random, content: bytes, stored: Stored) -> bytes:
    return random.choice([other for other in stored.contents.values() if other != content])


def lose(_random: Random, _content: bytes, _: Stored) -> None:
    return None


def drop_a_column(random: Random, content: bytes, _: Stored) -> bytes:
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    return to_parquet([table.drop_columns([random.choice(table.column_names)])])


def change_a_type(random: Random, content: bytes, _: Stored) -> bytes:
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    place = random.randrange(table.num_columns)
    other: Any = random.choice((None, 1, -1, 2**62, 1.5, float("nan"), "text", b"\xff", [1], {"x": 1}, True))
    column = pa.array([other] * table.num_rows)
    return to_parquet([table.set_column(place, table.column_names[place], column)])


def change_figures(random: Random, content: bytes, _: Stored) -> bytes:
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    fields = [f for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)] or [
        table.field(0)
    ]
    chosen = random.choice(fields)
    figures: list[Any] = [-1, 0, 2**31 - 1, -(2**31)]
    if pa.types.is_floating(chosen.type):
        figures += [-5.0, float("inf"), float("nan"), 1e308]
    value = "run-other" if pa.types.is_string(chosen.type) else random.choice(figures)
    column = pa.array([value] * table.num_rows, chosen.type)
    return to_parquet([table.set_column(table.column_names.index(chosen.name), chosen, column)])


def grow(random: Random, content: bytes, _: Stored) -> bytes:
    """Little to store and much to read."""
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    times = random.choice((2, 1000, 20_000))
    return to_parquet([table.take(pa.array([0] * times))])


MUTATIONS: Final[tuple[Mutation, ...]] = (
    flip_bits,
    flip_bits,
    change_the_footer,
    cut_short,
    lose_the_middle,
    blank_a_stretch,
    insert_bytes,
    garbage,
    swap,
    lose,
    drop_a_column,
    change_a_type,
    change_figures,
    grow,
)


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        yield Stored.make(Path(name, "results"))


@pytest.mark.slow
def test_damaged_parquet_file_excludes_only_its_runs(stored: Stored) -> None:
    def try_one(random: Random) -> inputs.Outcome:
        path = random.choice(list(stored.contents))
        mutation = random.choice(MUTATIONS)
        damaged = mutation(random, stored.contents[path], stored)
        if damaged == stored.contents[path]:
            return mutation.__name__, "changed nothing"
        try:
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            return mutation.__name__, _check_store(stored, path)
        finally:
            path.write_bytes(stored.contents[path])

    counts = inputs.run("stored files", try_one, ci=60, share=0.05)
    assert counts.total() > 0


def _check_store(stored: Stored, path: Path) -> str:
    """Raise where a damaged file costs more than its own runs, or less than it must."""
    own = stored.runs_of[path]
    inventory = stored.store.inventory(EVERY)
    counting = {entry.run_id for entry in inventory.counting}
    everything = {row["run_id"] for row in stored.shown["runs"]}
    assert everything - counting <= own, "another file's run is gone"
    named = {one.run_id for one in inventory.left_out}
    assert everything - counting <= named, "a run is gone without a word"
    # run-1 has two rows, a packed one and one of its own that was put with its verdict and counts. Without the former
    # nothing is lost; without the latter, if it is not just damaged but gone, the run is as it was before its verdict.
    other_row = path.parent.name == "runs" and (path.name.startswith("packed-") or not path.exists())
    assert counting.isdisjoint(own - ({"run-1"} if other_row else set())), "a run of a damaged file is shown"
    if next(stored.tried) % EVERY_FIFTH == 0:
        with closing(database.connect(stored.store)) as con:
            for table, found in _tables(con).items():
                if table == "runs" and not path.exists():
                    continue  # of run-1 without its verdict
                assert found == [row for row in stored.shown[table] if row["run_id"] in counting], table
    return "left out by name" if everything - counting else "shown"


def test_store_with_several_damaged_files_is_read(stored: Stored) -> None:
    def try_one(random: Random) -> inputs.Outcome:
        paths = random.sample(list(stored.contents), 3)
        try:
            for path in paths:
                damaged = random.choice(MUTATIONS)(random, stored.contents[path], stored)
                path.write_bytes(damaged if damaged is not None else b"")
            counting = {entry.run_id for entry in stored.store.inventory(EVERY).counting}
            spared = {row["run_id"] for row in stored.shown["runs"]} - {run for p in paths for run in stored.runs_of[p]}
            assert spared <= counting
            # Packing such a store must neither fail nor take anything away.
            before = {path.name: path.read_bytes() for path in stored.contents}
            copy = Path(stored.store.files.root).with_name("copy")
            shutil.copytree(stored.store.files.root, copy)
            try:
                packed = Store(str(copy))
                with packed.files.lock():
                    compaction.compact(packed.files, pack_at=1, keep_loose=0)
                assert {entry.run_id for entry in packed.inventory(EVERY).counting} == counting
                for path in paths:
                    kept = copy / path.relative_to(stored.store.files.root)
                    assert kept.read_bytes() == before[path.name], "packing took away what it could not read"
            finally:
                shutil.rmtree(copy)
            return "three at once", f"{len(counting)} of 5 runs shown"
        finally:
            for path in paths:
                path.write_bytes(stored.contents[path])

    assert inputs.run("several stored files", try_one, ci=10, share=0.005).total() > 0


def _parsed(text: str) -> urls.StoreUrl | str:
    """The address, or the sentence that refuses it."""
    try:
        return urls.parse_url(text)
    except BadInput as problem:
        return str(problem)


def test_any_store_address_is_read_or_a_problem() -> None:
    letters = "s3://file:~?#@%&=*[]{}.\\'\" abZ9_-ü\n\t\0\udc80+$"
    seeds = (
        "s3://bucket/p",
        "s3://k:s@b/x",
        "file:///a%20b",
        "~/x",
        "/x/topology=y",
        "s3://b?secret_key=abcdefgh",
        "arn:",
    )

    def try_one(random: Random) -> inputs.Outcome:
        text = random.choice((*seeds, ""))
        for _ in range(random.randrange(1, 12)):
            place = random.randrange(len(text) + 1)
            text = text[:place] + random.choice(letters) + text[place + random.randrange(2) :]
        found = _parsed(text)
        if isinstance(found, str):
            assert found.startswith("RESULTS ")
            assert "abcdefgh" not in found or "secret_key=abcdefgh" not in text
            return "address", "refused"
        assert "\0" not in found.root
        assert "secret_key=abcdefgh" not in found.shown or not text.lower().startswith("s3://")
        return "address", "a folder" if found.local else "a bucket"

    assert inputs.run("addresses", try_one, ci=2000, share=0.5).total() > 0


def test_store_readers_raise_only_problems(stored: Stored) -> None:
    """Where all files of a table are damaged, every verb's question still has an answer."""
    for table in TABLES:
        paths = [path for path in stored.contents if path.parent.name == table]
        try:
            for path in paths:
                path.write_bytes(b"PAR1")
            with closing(database.connect(stored.store)) as con:
                assert database.query(con, "select * from runs").num_rows == 0
                for question in database.questions():
                    assert database.answer_question(con, question.name).num_rows == 0
        except Problem as problem:  # pragma: no cover - the failure that this test is for
            pytest.fail(str(problem))
        finally:
            for path in paths:
                path.write_bytes(stored.contents[path])
