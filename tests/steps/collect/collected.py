"""A run's documents, and the rows that are collected from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from analysis.store.files.arrow import to_table
from analysis.store.schema import TABLES
from steps import documents
from steps.catalogue.tools import VARIANTS
from steps.collect import run_rows
from steps.domain import Visit
from steps.settings import turn_order
from tests.steps.builders import AT, cut_short, damaged, fitted, settings

Row = dict[str, Any]
HARMS: tuple[Callable[[Path], None], ...] = (cut_short, damaged, Path.unlink)
BEFORE = f"{turn_order.HOST_NETWORK}/{documents.trial_name(1)}"
"""The reference before the first trial, within a visit's folder."""

CHOSEN = settings(options="rounds=1", dataplanes="lab-iptables,lab-ebpf+twin")


def visits(run: Path) -> tuple[Visit, ...]:
    return documents.read_document(run / documents.PREFLIGHT, documents.Preflight).visits


def tables(run: Path) -> dict[str, list[Row]]:
    found = cast("dict[str, list[Row]]", run_rows.run_rows(run, collected_at=AT))
    for table in TABLES:
        to_table(table, "run-1", found[table])
    return found


def of_visit(rows: list[Row], visit: int) -> list[Row]:
    return [row for row in rows if row["visit"] == visit]


def first(run: Path, protocol: str = "tcp") -> tuple[Path, Path]:
    """The visit's folder and the document of its first trial of a protocol."""
    visit = visits(run)[0]
    trial = next(t for t in visit.trials if t.variant.name == protocol)
    folder = run / documents.visit_directory(1)
    return folder, folder / trial.topology / documents.trial_name(trial.trial)


def replaced(path: Path, **fields: object) -> None:
    document = documents.read_document(path, documents.TrialDocument).model_copy(update=fields)
    attempts = tuple(fitted(one, document.trial) for one in document.attempts)
    documents.write_document(path, document.model_copy(update={"attempts": attempts}))


def by_name(protocol: str) -> tuple[str, str]:
    tool, variant = VARIANTS[protocol]
    return tool.name, variant.transport


def trial_row(run: Path, protocol: str = "tcp") -> Row:
    return next(t for t in of_visit(tables(run)["trials"], 1) if by_name(protocol) == (t["tool"], t["transport"]))
