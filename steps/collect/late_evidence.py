"""The evidence that the exit handler took of visits that a Stop interrupted, so that their finished trials count.

Each end of a run writes restore.json anew, after Argo's Retry too: late.json keeps what earlier ones had.
"""

from contextlib import suppress
from pathlib import Path

from analysis.errors import Problem
from steps import documents


def read_late(directory: Path) -> dict[int, documents.Evidence]:
    """The evidence by visit, the latest of each; without what is damaged.

    Args:
        directory: the run's raw documents.
    """
    found: dict[int, documents.Evidence] = {}
    with suppress(FileNotFoundError, Problem):
        kept = documents.read_document(directory / documents.LATE, documents.Late)
        found |= {evidence.visit: evidence for evidence in kept.evidence}
    with suppress(FileNotFoundError, Problem):
        last = documents.read_document(directory / documents.RESTORE, documents.Restore).evidence
        found |= {last.visit: last} if last is not None else {}
    return found


def keep_late(directory: Path | None, path: Path) -> None:
    """Write all of it for a later end of the run, which has a restore.json of its own.

    `directory`: the run's raw documents; None: there are none.

    Raises:
        Problem: it can't be written.
    """
    found = read_late(directory) if directory is not None else {}
    documents.write_document(path, documents.Late(evidence=tuple(found[visit] for visit in sorted(found))))
