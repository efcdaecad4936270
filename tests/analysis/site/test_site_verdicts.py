"""The verdicts that a site is made of: packed, and of the rows that were written last."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from analysis.errors import Unsupported
from analysis.site.contents.verdicts import read_verdicts
from analysis.sql import database
from analysis.store.integrity import unnamed
from analysis.store.store import Store
from tests.analysis.site.sites import put


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "results"))
    put(store, "one", 1, verdict='{"first": 1}')
    put(store, "one", 1, verdict='{"last": "ü"}')
    put(store, "two", 2)
    put(store, "three", 3, verdict='{"third": 3}')
    return store


def test_run_has_the_verdict_that_was_written_last(store: Store) -> None:
    found = read_verdicts(store)
    assert [found.get(name) for name in ("one", "two", "three", "four")] == [
        '{"last": "ü"}',
        None,
        '{"third": 3}',
        None,
    ]


def test_damaged_file_costs_its_own_verdict(store: Store) -> None:
    (damaged,) = Path(store.url).glob("runs/three.*")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    found = read_verdicts(store)
    assert (found.get("one"), found.get("three")) == ('{"last": "ü"}', None)


def test_verdict_file_that_a_writer_replaces_is_read_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def once_gone(times: int) -> Callable[..., list[str]]:
        left, listed = [times], unnamed.list_run_files
        return lambda files: ["runs/gone.0123456789abcdef.parquet"] if left and left.pop() else listed(files)

    monkeypatch.setattr("analysis.site.contents.verdicts.list_run_files", once_gone(1))
    assert read_verdicts(store).get("three") == '{"third": 3}'
    monkeypatch.setattr(
        "analysis.site.contents.verdicts.list_run_files", lambda _: ["runs/gone.0123456789abcdef.parquet"]
    )
    with pytest.raises(Unsupported, match="try again when the writer is done"):
        read_verdicts(store)


@pytest.mark.parametrize("wanted", [True, False])
def test_store_can_be_opened_without_verdicts(store: Store, *, wanted: bool) -> None:
    with closing(database.connect(store, asking="", verdicts=wanted)) as con:
        rows = database.query(con, "select run_id, verdict, parameters from runs").to_pylist()
    assert {row["run_id"] for row in rows} == {"one", "two", "three"}
    assert sum(row["verdict"] is not None for row in rows) == 2 * wanted
    assert all(row["parameters"] for row in rows)
