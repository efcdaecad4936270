"""A run that measures more rounds of a stored one."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from analysis.errors import BadInput, Unsupported
from analysis.sql import database
from analysis.stats import run
from analysis.stats.verdicts.run_judgement import judge_run
from analysis.store.store import Store
from steps.catalogue.options import Settings, method
from steps.collect.comparing import compare_rows
from steps.collect.run_rows import run_rows
from steps.settings.continued import stored_runs
from steps.settings.settings import choose_settings
from tests.steps.builders import settings, write_run

EARLIER = settings(
    options="rounds=3 duration=2 streams=4 margin=0.2",
    dataplanes="lab-iptables,lab-nftables,lab-ebpf",
    topologies="pod-to-pod,pod-to-service",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the earlier run."""
    place = tmp_path_factory.mktemp("continued")
    write_run(place / "raw", EARLIER, "run-1")
    Store(str(place / "results")).write("run-1", run_rows(place / "raw"))
    return place / "results"


def chosen(results: Path, options: str = "", **more: str) -> Settings:
    return choose_settings(
        options=f"continues=run-1 {options}",
        results=str(results),
        find_run=stored_runs(str(results)),
        **more,  # type: ignore[arg-type]
    )


def test_everything_but_its_own_is_the_earlier_runs(results: Path) -> None:
    found = chosen(results, "rounds=5 budget=20m seed=7", label="more", profile="thorough")
    own = {"rounds": 5, "budget_s": 1200, "seed": 7, "label": "more", "continues": "run-1", "results": str(results)}
    assert found == EARLIER.model_copy(update=own)
    assert chosen(results, "margin=0.05").margin_ratio == 0.05
    assert method(found.model_dump(mode="json")) == method(EARLIER.model_dump(mode="json"))


def test_fewer_dataplanes_and_paths_may_be_measured(results: Path) -> None:
    found = chosen(results, dataplanes="lab-iptables,lab-ebpf", topologies="pod-to-pod")
    assert found.dataplanes == ("lab-iptables", "lab-ebpf")
    assert {cell.topology for cell in found.cells} == {"pod-to-pod"}
    assert {*found.cells} < {*EARLIER.cells}


@pytest.mark.parametrize(
    ("options", "more", "sentence"),
    [
        ("continues=run-2", {}, "continues is 'run-2', and .* has no such run; the latest are run-1$"),
        ("duration=3", {}, "duration is that of run run-1, which this one continues: leave it out"),
        ("", {"dataplanes": "lab-ebpf"}, "dataplanes must be some of run run-1, its baseline first"),
        ("", {"dataplanes": "lab-iptables,lab-ebpf-dsr"}, "dataplanes must be some of run run-1"),
        ("", {"topologies": "node-to-node"}, "topologies must be some of run run-1, .*: pod-to-pod, pod-to-service"),
        ("", {"environment": "prod", "dataplanes": "iptables"}, "run run-1 was measured in lab, not in prod"),
    ],
)
def test_run_that_measured_nothing_can_not_be_continued(
    results: Path, options: str, more: dict[str, str], sentence: str
) -> None:
    options = options if "continues" in options else f"continues=run-1 {options}"
    with pytest.raises(BadInput, match=sentence):
        choose_settings(options=options, results=str(results), find_run=stored_runs(str(results)), **more)  # type: ignore[arg-type]


def test_run_that_is_continued_is_looked_for_in_the_store_alone(tmp_path: Path) -> None:
    find = stored_runs(str(tmp_path))
    with pytest.raises(BadInput, match=r"continues is 'run-1', and .* has no such run; it has none yet$"):
        find("run-1")
    for number in range(1, 6):
        write_run(tmp_path / f"raw-{number}", EARLIER, f"run-{number}")
        rows = run_rows(tmp_path / f"raw-{number}")
        rows["runs"][0]["started_at"] = datetime(2026, 1, number, tzinfo=UTC) if number < 5 else None
        Store(str(tmp_path)).write(f"run-{number}", rows)
    with pytest.raises(BadInput, match=r"has no such run; the latest are run-4, run-3, run-2$"):
        find("zzz")
    (damaged,) = (tmp_path / "visits").glob("run-2*.parquet")
    damaged.write_bytes(b"")
    with pytest.raises(Unsupported, match=r"^Run run-2 is left out: "):
        find("run-2")


def test_store_that_can_not_be_reached_from_here_is_asked_later(results: Path) -> None:
    assert choose_settings(options="continues=run-1", results=str(results)).continues == "run-1"


def test_look_and_report_judge_the_rounds_of_both(results: Path, tmp_path: Path) -> None:
    further = chosen(results, "rounds=1")
    write_run(tmp_path, further, "run-2")
    rows = run_rows(tmp_path)
    during = compare_rows(rows, "run-2", str(results))
    assert max(c.rounds for c in during) == EARLIER.rounds + 1
    Store(str(results)).write("run-2", rows)
    with database.connect(Store(str(results)), run_id="run-2", asking="") as con:
        assert judge_run(con, run.load_run(con, "run-2"), method).comparisons == during
    assert json.loads(json.dumps(rows["runs"][0]["parameters"]))["continues"] == "run-1"
