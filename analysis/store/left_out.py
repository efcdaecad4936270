"""What a store holds and does not show: a run whose files can't be trusted, by name, with what to do about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from analysis.console.commands import report_command

SHOWN: Final = 5
"""So many are named one by one; of the others there is a table."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is in the store and in no view of it.

    `run_id`: None where the damage is such that not even the run's name is known. `file`: the address of the file that
    is at fault. `reason`: what is wrong with it, as a clause. `remedy`: what to do, as a sentence.
    """

    run_id: str | None
    file: str
    reason: str
    remedy: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        what = f"Run {self.run_id} is left out" if self.run_id else "Something is left out"
        return f"{what}: {self.file} {self.reason}. {self.remedy}"


def sentences(found: Sequence[LeftOut]) -> list[str]:
    """A line for each, and for so many that nobody would read them one that says where they are listed."""
    lines = [one.sentence for one in found[:SHOWN]]
    if more := len(found) - SHOWN:
        listed = "the table left_out lists them all"
        lines += [f"{more} more are left out; {listed}."] if more > 0 else []
    return lines


def table(found: Iterable[LeftOut]) -> pa.Table:
    """As the table `left_out` that queries see."""
    columns = ("run_id", "file", "reason", "remedy")
    rows = [{name: getattr(one, name) for name in columns} for one in found]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in columns]))


def repair_advice(run_id: str | None, url: str, *, has_documents: bool) -> str:
    """What to do about a damaged file of a run. No advice deletes anything.

    Args:
        run_id: the run, if it is known.
        url: the store, as it may be shown.
        has_documents: whether the run's raw documents are in the store, from which it can be collected again.
    """
    if run_id and has_documents:
        return (
            f"Put the file back from a copy, or type `{report_command(url, run_id)}`, which collects the run again "
            f"from its raw documents in raw/{run_id}."
        )
    return "Put the file back from a copy; all other runs are shown."
