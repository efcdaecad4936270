"""What every fuzz test shares: how many inputs it tries, their seeds, and the count of what came of them.

A fuzz test is a function that makes one input from a `Random`, tries it, asserts what must hold of every input, and
returns the kind of input and what came of it, each in a few words:

    def try_one(random: Random) -> tuple[str, str]:
        kind, text = mutated(random)
        found = read(text)
        assert ...
        return kind, "read" if found else "refused"

    def test_documents() -> None:
        inputs.run("documents", try_one, ci=500)

The suite tries `ci` inputs; `make fuzz` sets FUZZ_INPUTS, of which each test tries its `share`. The seeds are the
numbers of the inputs, so that both try the same ones first, and FUZZ_FROM=123 begins with the input that a failure
names. Counts are printed at the end of the session by conftest.py.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Final

Outcome = tuple[str, str]
"""The kind of an input, and what came of it."""

COUNTS: Final[dict[str, Counter[Outcome]]] = {}
"""Of each fuzz test of this session, by its name."""


def budget(ci: int, share: float = 1.0) -> int:
    """How many inputs a test tries.

    Args:
        ci: in the suite, where FUZZ_INPUTS is not set.
        share: of FUZZ_INPUTS; below 1 where an input is dear, such as one that writes a store.
    """
    asked = os.environ.get("FUZZ_INPUTS", "")
    return max(1, round(int(asked) * share)) if asked else ci


def run(name: str, try_one: Callable[[Random], Outcome], *, ci: int, share: float = 1.0) -> Counter[Outcome]:
    """Try the inputs of a test one after another; an input that fails is named in the failure's notes.

    Args:
        name: of the test; part of each seed.
        try_one: makes an input from the `Random`, tries it and asserts what must hold.
        ci: see `budget`.
        share: see `budget`.

    Returns:
        How often each kind of input came to what.
    """
    counts = COUNTS.setdefault(name, Counter())
    first = int(os.environ.get("FUZZ_FROM", "0"))
    for number in range(first, first + budget(ci, share)):
        try:
            counts[try_one(Random(f"{name} {number}"))] += 1
        except BaseException as error:
            error.add_note(f"input {number} of {name}: FUZZ_FROM={number} FUZZ_INPUTS=1 tries it alone")
            raise
    return counts


def plain_counts() -> dict[str, list[tuple[str, str, int]]]:
    """The counts of this process, in types that pytest-xdist can hand to another: kind, what came of it, how often."""
    return {name: [(*outcome, count) for outcome, count in counts.items()] for name, counts in COUNTS.items()}


def add_counts(plain: Mapping[str, Iterable[tuple[str, str, int]]]) -> None:
    """Add the counts of another process to those of this one."""
    for name, counts in plain.items():
        COUNTS.setdefault(name, Counter()).update({(kind, end): count for kind, end, count in counts})


def lines() -> list[str]:
    """The counts of this session, a line for each test and each kind of input."""
    text = []
    for name, counts in COUNTS.items():
        text.append(f"{name}: {counts.total():,} inputs")
        for kind in sorted({kind for kind, _ in counts}):
            ends = {end: count for (of, end), count in counts.items() if of == kind}
            found = ", ".join(f"{count:,} {end}" for end, count in sorted(ends.items(), key=lambda e: (-e[1], e[0])))
            text.append(f"  {kind}: {found}")
    return text
