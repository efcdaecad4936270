"""What the points of `make chaos` came to so far, without a cluster: `make chaos-table`.

Prints the document, or writes it to a file; 1 if a point missed the bar.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cyclopts import Parameter

from analysis.console.terminal import printing
from analysis.errors import BadInput
from benchmarks import program
from benchmarks.chaos import outcomes, points, tables
from workflows.template.benchmark import build_template


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ChaosTableFlags:
    """The flags of `make chaos-table`.

    Attributes:
        outcomes: the file of outcomes.
        document: the Markdown file that is written; printed if empty.
    """

    outcomes: Path = Path("chaos.jsonl")
    document: Path | None = None


_DEFAULTS: Final = ChaosTableFlags()


def show(flags: ChaosTableFlags = _DEFAULTS) -> int:
    """Print or write the document; 1 if the bar is missed.

    Raises:
        BadInput: there are no outcomes, or the document can't be written.
    """
    found = outcomes.read(flags.outcomes)
    if not found:
        raise BadInput(f"{flags.outcomes} has no outcomes: `make chaos` adds them, and OUTCOMES names the file.")
    steps = [step.name for step in points.steps_of(build_template().to_dict())]
    text = tables.document(found, steps)
    if flags.document is None:
        print(text, end="")
    else:
        try:
            flags.document.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{flags.document} can't be written: {error.strerror}.") from None
    return int(outcomes.misses_bar(found))


if __name__ == "__main__":
    sys.exit(printing(lambda: program.exit_code(show)))
