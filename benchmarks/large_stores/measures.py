"""One measurement of `benchmarks.large_stores.scale`, in a process of its own, as for a user who types the command.

    python -m benchmarks.large_stores.measures WHAT STORE RUN < FILES

`FILES`: as JSON, by table, the files that a program which knows what it needs would read by hand. Prints JSON.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from analysis.store.store import Store
from benchmarks.large_stores.memory import peak_bytes

ENVIRONMENT: Final = "lab"

Files = Mapping[str, Sequence[str]]

_TREND_BY_HAND: Final = """
    with means as (
        select
            t.run_id, t.visit, r.environment, r.started_at, v.dataplane_requested as dataplane,
            topology, tool, transport, direction, streams, offered_bps,
            count(*) filter (len(t.flags) > 0) as flagged, exp(avg(ln(received_bps))) as received_bps,
            avg(cpu_s_per_gbit) as cpu_s_per_gbit, sum(lost_packets) / sum(total_packets) as loss_ratio,
            avg(connect_p50_s) as connect_p50_s
        from read_parquet($trials) as t
        join read_parquet($visits) as v on v.run_id = t.run_id and v.visit = t.visit
        join read_parquet($runs) as r on r.run_id = t.run_id
        where t.outcome = 'measured' and v.proof = 'proven' and r.environment = 'lab'
        group by all
    )
    select
        environment, topology, tool, transport, direction, streams, offered_bps, dataplane, started_at, run_id,
        count(*) as visits, sum(flagged) as flagged, exp(avg(ln(received_bps))) as received_bps,
        avg(cpu_s_per_gbit) as cpu_s_per_gbit, avg(loss_ratio) as loss_ratio, avg(connect_p50_s) as connect_p50_s
    from means
    group by all
    order by all
"""
"""The question `trend` without its views: no flags that void figures, no checks, no older versions."""


@dataclass(slots=True)
class Stopwatch:
    """The wall time and the CPU time of the named parts of a measurement, in seconds."""

    wall_s: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s[name] = time.perf_counter() - wall
        self.cpu_s[name] = time.process_time() - cpu


@dataclass(frozen=True, slots=True)
class ProcessMeasurement:
    """What one process did. `wall_s`, `cpu_s`: of its parts. `read_bytes`: by all its calls of read(2)."""

    answer: str
    wall_s: Mapping[str, float]
    cpu_s: Mapping[str, float]
    peak_bytes: int
    read_bytes: int


def trend(clock: Stopwatch, store: Store, _run_id: str, _files: Files) -> str:
    """Every path and dataplane of one environment, over all its nights."""
    with clock.part("imports"):
        from analysis.sql import database  # noqa: PLC0415 - timed
    with clock.part("opening"):
        con = database.connect_to_ask(store, "trend", environment=ENVIRONMENT)
    with clock.part("asking"), closing(con):
        answer = database.answer_question(con, "trend", environment=ENVIRONMENT)
    return f"{answer.num_rows} rows of {len(set(answer['run_id'].to_pylist()))} nights"


def report(clock: Stopwatch, store: Store, run_id: str, _files: Files) -> str:
    """The report of the latest run, its history included, and the interactive one beside it."""
    with clock.part("imports"):
        from analysis.report import render_pages  # noqa: PLC0415 - timed
        from analysis.sql import database  # noqa: PLC0415 - timed
        from analysis.store.index.selection import beside  # noqa: PLC0415 - timed
        from analysis.summary.run.summary import summarise  # noqa: PLC0415 - timed
        from steps.catalogue.options import method  # noqa: PLC0415 - timed
    with clock.part("opening"):
        con = database.connect(store, run_id=run_id, asking="", choice=beside(run_id))
    with clock.part("asking"), closing(con):
        pages = render_pages(con, run_id, summarise(con, run_id, method))
    return f"the report of {run_id}, {len(pages.report) / 1024:.0f} KiB"


def compare(clock: Stopwatch, store: Store, _run_id: str, _files: Files) -> str:
    """The comparison of the latest two runs of an environment, with their histories, and its page."""
    with clock.part("imports"):
        from analysis.report import contrast_page  # noqa: PLC0415 - timed
        from steps.settings.compared import COMPARED  # noqa: PLC0415 - timed
        from workflows.cli.compare import compare_in  # noqa: PLC0415 - timed
    with clock.part("asking"):
        found, name = compare_in(store, f"{ENVIRONMENT}:latest~1", f"{ENVIRONMENT}:latest", COMPARED)
        html = contrast_page.render(found)
    return f"{name}, {len(html) / 1024:.0f} KiB"


def trend_by_hand(clock: Stopwatch, _store: Store, _run_id: str, files: Files) -> str:
    """The answer to `trend` by DuckDB on the same files, without this project."""
    with clock.part("imports"):
        import duckdb  # noqa: PLC0415 - timed
    with clock.part("asking"):
        answer = duckdb.connect().sql(_TREND_BY_HAND, params=dict(files)).to_arrow_table()
    return f"{answer.num_rows} rows"


def rows_by_hand(clock: Stopwatch, _store: Store, _run_id: str, files: Files) -> str:
    """All rows and columns of visits and trials that a report or a comparison may be about, by DuckDB alone."""
    with clock.part("imports"):
        import duckdb  # noqa: PLC0415 - timed
    with clock.part("asking"), closing(duckdb.connect()) as con:
        rows = sum(
            con.sql("select * from read_parquet($files)", params={"files": files[table]}).to_arrow_table().num_rows
            for table in ("visits", "trials")
        )
    return f"{rows} rows"


MEASURES: Final[Mapping[str, Callable[[Stopwatch, Store, str, Files], str]]] = {
    "trend": trend,
    "report": report,
    "compare": compare,
    "trend-by-hand": trend_by_hand,
    "rows-by-hand": rows_by_hand,
}


def measure(what: str, url: str, run_id: str, files: Files) -> ProcessMeasurement:
    """Do it once, and say what it took."""
    clock, store = Stopwatch(), Store(url)
    before = _read_bytes()
    answer = MEASURES[what](clock, store, run_id, files)
    return ProcessMeasurement(answer, clock.wall_s, clock.cpu_s, peak_bytes(), _read_bytes() - before)


def _read_bytes() -> int:
    """What this process has read so far, from files and sockets, cached or not."""
    counted = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counted["rchar"])


if __name__ == "__main__":
    asked, address, run = sys.argv[1:]
    print(json.dumps(asdict(measure(asked, address, run, json.load(sys.stdin)))))
