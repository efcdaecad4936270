"""Names of runs and of a store's files. A name from a row or a listing is used only if it matches its pattern here."""

import re
from typing import Final

from analysis.errors import BadInput
from analysis.store.schema import TABLES

CHILDREN: Final = tuple(table for table in TABLES if table != "runs")

PACKED: Final = "packed-"
"""Prefix of the names of files with many runs."""

_STEM: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}"
_RUN_ID: Final = re.compile(_STEM)
_FILE: Final = re.compile(rf"(?P<stem>{_STEM})\.(?P<digest>[0-9a-f]{{16}})\.parquet")


def is_run_id(text: object) -> bool:
    """Whether this is a valid run id, which becomes part of file names."""
    return isinstance(text, str) and bool(_RUN_ID.fullmatch(text)) and not text.startswith(PACKED)


def check_run_id(run_id: str) -> None:
    """Check that a text is a valid run id, before it becomes part of a path.

    Raises:
        BadInput: it is not.
    """
    if not is_run_id(run_id):
        raise BadInput(
            f"{run_id!r} can't name a run: it takes letters, digits, dots, dashes and underscores, "
            f"begins with a letter or digit, and not with {PACKED!r}"
        )


def file_name(table: str, stem: str, digest: str) -> str:
    """The name of a file of the store, with its folder."""
    return f"{table}/{stem}.{digest}.parquet"


def is_store_file(file_name: str) -> bool:
    """Whether a file is named as the store names its files; without its folder."""
    return bool(_FILE.fullmatch(file_name))


def digest_in(name: str) -> str:
    """The digest in the name of a file."""
    return name.removesuffix(".parquet").rpartition(".")[2]


def run_of_file(file_name: str) -> str | None:
    """The run whose file this is; None: it has many runs, or is none of the store's."""
    found = _FILE.fullmatch(file_name)
    return found["stem"] if found and not file_name.startswith(PACKED) else None


def is_packed(name: str) -> bool:
    """Whether a file of the store, named with its folder, has many runs."""
    return f"/{PACKED}" in name


def unfit_child(child: object, run_id: str) -> bool:
    """Whether a name can't be that of a file with visits, trials or samples of this run."""
    table, _, file = child.partition("/") if isinstance(child, str) else ("", "", "")
    return table not in CHILDREN or not is_store_file(file) or run_of_file(file) not in {None, run_id}
