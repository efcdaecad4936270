"""Check the variables in a `make` command line. A program for the Makefile.

make ignores unknown variables, so that `make run PROFIL=thorough` would measure the default. Refused is what is near a
known name, or known but not for this target: any other may be for a program that make starts, such as KUBECONFIG. Runs
before anything is installed, so it needs nothing but Python.
"""

import difflib
import sys
from collections.abc import Iterable, Mapping

EVERYWHERE = ("PYTHON", "VENV")
"""Taken by every target."""

FOREIGN = ("AWS_", "BENCHMARK_", "FUZZ_", "KUBE", "MAKE", "PYTEST_", "PYTHON")
"""Prefixes of names of other programs, or of the steps' own environment."""

OWN = ("VERBS", "FLAGS_", "OTHERS_", "TAKES", "GIVEN", "REFUSED", "quoted", "refusal", "command", "taken")
"""Prefixes of the Makefile's own names, which no one sets."""

SYNONYMS = {"VISITS": "ROUNDS"}
"""Names that mean the same as a known one: flags and the form's field `options` take both."""

SHORTEST = 3
"""From this length on, a name is taken for a longer one that it begins: DRY for DRY_RUN."""

NEAR = 0.75
"""From this similarity on, one name is taken for another: TOPOLOGY and TOPOLOGIES have 0.78."""


def takes(text: str) -> dict[str, tuple[str, ...]]:
    """What each target takes, from the Makefile's text: `TARGET:NAME NAME | NAME; TARGET:...`."""
    entries = (entry.partition(":") for entry in text.split(";") if entry.strip())
    return {target.strip(): tuple(names.replace("|", " ").split()) for target, _, names in entries}


def faults(goals: Iterable[str], known: Mapping[str, tuple[str, ...]], given: Iterable[str]) -> list[str]:
    """A sentence for each variable that is refused.

    `known`: what each target takes; any other takes nothing. `given`: the variables in the command line.
    """
    goals = list(goals)
    wanted = {name for goal in goals for name in known.get(goal, ())} | set(EVERYWHERE)
    all_names = {name for names in known.values() for name in names} | set(EVERYWHERE)
    target = f"make {' '.join(goals)}"
    found = []
    for name in sorted(set(given) - wanted):
        near = _alike(name.upper()[:40], wanted)
        if name.startswith(OWN):
            found.append(f"{target} takes no {name}, which is the Makefile's own: leave it out")
        elif name == "OPTIONS":
            found.append(f"{target} takes no {name}, which is a field of the form: give each option by its own name")
        elif SYNONYMS.get(name) in wanted:
            found.append(f"{target} takes no {name}: did you mean {SYNONYMS[name]}?")
        elif near:
            found.append(f"{target} takes no {name}: did you mean {' or '.join(near)}?")
        elif name in all_names:
            takers = ", ".join(sorted(other for other, names in known.items() if name in names))
            found.append(f"{target} takes no {name}, which is for {takers}: leave it out")
        elif not name.startswith(FOREIGN):
            near = difflib.get_close_matches(name.upper()[:40], sorted(all_names), n=2, cutoff=NEAR)
            found += [f"{target} takes no {name}, which is near {' and '.join(near)}: leave it out"] if near else []
    return found


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """The known names that may be meant: those that it begins, or that begin it, or that differ in few letters."""
    begun = sorted(
        other
        for other in known
        if (len(name) >= SHORTEST and other.startswith(name)) or name.startswith((f"{other}_", f"{other}-"))
    )
    return begun or difflib.get_close_matches(name, sorted(known), n=2, cutoff=NEAR)


def main(goals: str, known: str, given: str) -> None:
    """Print the sentences."""
    sys.stdout.write("; ".join(faults(goals.split(), takes(known), given.split())))


if __name__ == "__main__":
    main(*sys.argv[1:])
