"""Which runs a question is about, by their rows in `runs/` alone: for it, the files of no other run are opened."""

from collections.abc import Callable, Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

Choice = Callable[[pa.Table], Collection[str]]
"""From rows of runs, with the columns of `ABOUT`, to the ids of those that are wanted."""

ABOUT = ("run_id", "environment", "started_at", "parameters")


def every_run(rows: pa.Table) -> Collection[str]:
    """All runs."""
    return _ids(rows)


def no_run(_: pa.Table) -> Collection[str]:
    """None: only the rows of `runs/` themselves are wanted."""
    return ()


def one_run(run_id: str) -> Choice:
    """This run."""
    return lambda _: (run_id,)


def latest_runs(rows: pa.Table) -> Collection[str]:
    """Of each environment the run that began last; more than one where they began at the same moment."""
    last = rows.group_by("environment").aggregate([("started_at", "max")])
    pairs = set(zip(last["environment"].to_pylist(), _moments(last["started_at_max"]), strict=True))
    found = zip(_ids(rows), rows["environment"].to_pylist(), _moments(rows["started_at"]), strict=True)
    return [run_id for run_id, environment, moment in found if (environment, moment) in pairs]


def last_begun(tables: Iterable[pa.Table], most: int = 3) -> list[str]:
    """The runs that began last, whatever their environment, the last one first; those of unknown time come behind."""
    begun = [pair for rows in tables for pair in zip(_moments(rows["started_at"]), _ids(rows), strict=True)]
    begun.sort(key=lambda pair: (pair[0] is not None, pair[0]), reverse=True)
    return [run_id for _, run_id in begun[:most]]


def of_environment(name: str) -> Choice:
    """The runs of an environment."""
    return lambda rows: _ids(rows.filter(pc.equal(rows["environment"], name)))


def beside(*run_ids: str) -> Choice:
    """All runs of the environments of these runs, with which a report may compare them."""

    def chosen(rows: pa.Table) -> Collection[str]:
        own = rows.filter(pc.is_in(rows["run_id"], pa.array(run_ids, pa.string())))
        return _ids(rows.filter(pc.is_in(rows["environment"], own["environment"].combine_chunks())))

    return chosen


def either(*choices: Choice) -> Choice:
    """The runs of any of these choices."""
    return lambda rows: {run_id for choice in choices for run_id in choice(rows)}


def _ids(rows: pa.Table) -> list[str]:
    found: list[str] = rows["run_id"].to_pylist()
    return found


def _moments(column: pa.ChunkedArray) -> list[int | None]:
    found: list[int | None] = column.cast(pa.int64()).to_pylist()
    return found
