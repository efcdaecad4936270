"""The verb import: what other tools measured, from their files into the store."""

import json
import re
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from analysis import formatting
from analysis.addresses import open_home
from analysis.console.documents import print_document
from analysis.console.notices import print_notice
from analysis.domain import IMPORTED
from analysis.errors import BadInput, Problem
from analysis.sql import database
from analysis.store.store import Store
from steps.bounded_files import read_bounded
from steps.imports import importing, sources
from steps.imports.places import NO_MAPPING, MappingFile, Places, read_mapping
from steps.imports.rows import Row, RowsByTable, digests_of, environment_of
from workflows.cli.import_document import ImportDocument, ImportedRun, document
from workflows.cli.opened_store import open_store
from workflows.flags.common import AsOwnerFlag, FormatFlag, ResultsFlag, flag

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f]{0,100}")
_MOST_MAPPING_BYTES: Final = 4 * 2**20
_SHOWN: Final = 20

_STORED: Final = "select run_id, parameters from runs where environment = $environment"


def import_results(
    *,
    files: Annotated[str, flag("Files and folders of iperf3 -J, knb and k8s-netperf, separated by commas.")] = "",
    name: Annotated[str, flag("The figures are stored as environment imported:NAME.")] = "",
    pattern: Annotated[
        str,
        flag("What the paths below a folder say, such as {dataplane}/{topology}/{visit}-{repetition}.json; * is any."),
    ] = "",
    mapping: Annotated[str, flag("A TOML file that names dataplanes, topologies and visits; docs/import.md.")] = "",
    dataplane: Annotated[str, flag("Of all files that nothing else names one of.")] = "",
    topology: Annotated[str, flag("Of all files that nothing else names one of.")] = "",
    label: Annotated[str, flag("Of the imported runs, as of measured ones.")] = "",
    replace: Annotated[
        bool, Parameter(help="Replace a stored run that has files which are not among these.", negative="")
    ] = False,
    results: ResultsFlag = "results",
    as_owner: AsOwnerFlag = False,
    format: FormatFlag = "text",  # noqa: A002 - the flag's name
) -> int:
    """Read other tools' results into the store. Importing the same files again changes nothing.

    Returns 0 where each file was read, 1 where some could not be.

    Raises:
        BadInput: a flag is invalid, no file could be read, or a stored run has files that are not among these.
        Unsupported: the store can't be read or written.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInput(
            f"the name {name[:80]!r} can't be that of imported figures: it takes small letters, digits, dots and "
            "dashes, as in NAME=itnext-2024"
        )
    if _LABEL.fullmatch(label) is None:
        raise BadInput("a label is a text of at most 100 characters without line breaks")
    places = Places.of(pattern, _mapping(mapping), {"dataplane": dataplane, "topology": topology})
    found = importing.import_files(name, sources.find(files), places, label=label)
    _print_faults(found)
    if not found.runs:
        fits = f"; the pattern {pattern!r} fits none of the paths" if found.left_out and not found.faults else ""
        raise BadInput(f"nothing of {files} was imported: no file of it could be read{fits}")
    store = open_store(results, as_owner=as_owner, create=True)
    stored = _stored(store, environment_of(name))
    for tables in found.runs:
        _refuse_loss(tables, stored, replace=replace)
    done = ImportDocument(
        environment=environment_of(name),
        store=store.url,
        runs=tuple(_store(store, tables, stored) for tables in found.runs),
        faults=found.faults,
        left_out=found.left_out,
    )
    print_document(document(done), format)
    return 1 if found.faults else 0


def _mapping(path: str) -> MappingFile:
    if not path:
        return NO_MAPPING
    place = Path(open_home(path, "MAPPING"))
    try:
        data = read_bounded(place, _MOST_MAPPING_BYTES)
    except FileNotFoundError:
        raise BadInput(f"the mapping {path} does not exist: name a file, or leave MAPPING out") from None
    except Problem as problem:
        raise BadInput(f"the mapping {path} can't be used: {problem}") from None
    return read_mapping(data, path)


def _print_faults(found: importing.Imported) -> None:
    for fault in found.faults[:_SHOWN]:
        print_notice(f"Not imported: {fault}")
    if len(found.faults) > _SHOWN:
        print_notice(f"Not imported: {len(found.faults) - _SHOWN} more; the report lists up to 200.")
    if found.left_out:
        print_notice(f"{formatting.count(found.left_out, 'file')} left out, since the pattern does not fit.")


def _stored(store: Store, environment: str) -> dict[str, Mapping[str, Any]]:
    """What the imported runs of an environment recorded of their import, by run."""
    with closing(database.connect(store, asking=_STORED)) as con:
        rows = database.query(con, _STORED, {"environment": environment}).to_pylist()
    found = {row["run_id"]: json.loads(row["parameters"] or "{}").get(IMPORTED) for row in rows}
    return {run_id: facts for run_id, facts in found.items() if isinstance(facts, dict)}


def _facts(tables: RowsByTable) -> Row:
    parameters = tables["runs"][0]["parameters"]
    assert isinstance(parameters, dict)
    facts: Row = parameters[IMPORTED]
    return facts


def _refuse_loss(tables: RowsByTable, stored: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
    """Raise where a run of this name would lose files that it has; others that have its files are named."""
    run_id, digests = str(tables["runs"][0]["run_id"]), digests_of(_facts(tables))
    lost = digests_of(stored.get(run_id, {})) - digests
    if lost and not replace:
        raise BadInput(
            f"the store has the run {run_id} with {formatting.count(len(lost), 'file')} not among these: import them "
            "all together, give {run} in the pattern or another NAME, or replace it by REPLACE=1"
        )
    for other, facts in stored.items():
        shared = digests_of(facts) & digests
        if other != run_id and shared:
            print_notice(f"{formatting.count(len(shared), 'file')} of the run {run_id} are also in the run {other}.")


def _store(store: Store, tables: RowsByTable, stored: Mapping[str, Mapping[str, Any]]) -> ImportedRun:
    """Store a run, unless the store has the same rows."""
    run_id, facts = str(tables["runs"][0]["run_id"]), _facts(tables)
    changed = stored.get(run_id, {}).get("rows") != facts["rows"]
    if changed:
        store.write(run_id, tables)
    outcomes, files = [row["outcome"] for row in tables["trials"]], facts["files"]
    assert isinstance(files, int)
    return ImportedRun(
        run_id=run_id,
        files=files,
        trials=len(outcomes),
        failed=outcomes.count("failed"),
        changed=changed,
    )
