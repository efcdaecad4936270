"""Are the variables that were typed behind `make` ones that its targets take? A program of its own for the Makefile.

make ignores what it doesn't know, so that `make run PROFIL=thorough` would measure the default. Only what is near a
known name is refused, and what is known but not for this target: any other may be meant for a program that make starts,
such as KUBECONFIG. Needs nothing but Python, for it runs before anything is installed.
"""

import difflib
import sys
from collections.abc import Iterable, Mapping

EVERYWHERE = ("PYTHON", "VENV")
"""Taken by every target."""

FOREIGN = ("AWS_", "BENCHMARK_", "FUZZ_", "KUBE", "MAKE", "PYTEST_", "PYTHON")
"""Beginnings of names that are other programs', or the steps' own environment."""

OWN = ("VERBS", "FLAGS_", "OTHERS_", "TAKES", "GIVEN", "REFUSED", "quoted", "refusal", "command", "taken")
"""Beginnings of the Makefile's own names, which are not for typing."""

MEANT = {"ROUNDS": "VISITS"}
"""What is near no name, but means the same as one: the form's field `options` takes both."""

SHORTEST = 3
"""Letters of a name by which a longer one is meant, as DRY for DRY_RUN."""

NEAR = 0.75
"""So alike must two names be, of 1, that one is taken for the other: TOPOLOGY and TOPOLOGIES are 0.78."""


def takes(text: str) -> dict[str, tuple[str, ...]]:
    """What each target takes, as the Makefile writes it: `TARGET:NAME NAME | NAME; TARGET:...`."""
    entries = (entry.partition(":") for entry in text.split(";") if entry.strip())
    return {target.strip(): tuple(names.replace("|", " ").split()) for target, _, names in entries}


def faults(goals: Iterable[str], known: Mapping[str, tuple[str, ...]], given: Iterable[str]) -> list[str]:
    """A sentence for each variable that the targets don't take, and that is no other program's.

    Args:
        goals: the targets that were asked for.
        known: what each target takes; one that is not in it takes nothing.
        given: the variables that were typed.
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
        elif MEANT.get(name) in wanted:
            found.append(f"{target} takes no {name}: did you mean {MEANT[name]}?")
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
    """The known names that may be meant: it is the beginning of one, or goes on from one, or differs in few letters."""
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
