"""Runs that are in the store and in none of its views, because a file of theirs can't be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final

import pyarrow as pa

SHOWN: Final = 5
"""So many are named one by one; the table `left_out` lists the others."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is in the store and in no view of it.

    `run_id`: None where the damage hides even its name. `file`: the address of the file at fault, with what is wrong
    with it, as a clause, and what to do, as a sentence.
    """

    run_id: str | None
    file: str
    reason: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        what = f"Run {self.run_id} is left out" if self.run_id else "Something is left out"
        return f"{what}: {self.file} {self.reason}. {self.remedy}"


def sentences(found: Sequence[LeftOut]) -> list[str]:
    """A line for each of the first runs, and one that counts the others."""
    lines = [one.sentence for one in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"{len(found) - SHOWN} more are left out; the table left_out lists them all.")
    return lines


def left_out_table(found: Iterable[LeftOut]) -> pa.Table:
    """The table `left_out` that queries read."""
    schema = pa.schema([(field.name, pa.string()) for field in fields(LeftOut)])
    return pa.Table.from_pylist([asdict(one) for one in found], schema=schema)
