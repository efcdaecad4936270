"""What is typed into the form and behind the flags, damaged at random: settings within every bound, or sentences."""

from random import Random

from analysis.errors import BadInput
from steps.catalogue import profiles, topologies
from steps.catalogue.dataplanes import DATAPLANES
from steps.catalogue.option_fields import bounds_of
from steps.catalogue.options import BY_NAME, Settings
from steps.settings.limits import LONGEST_S
from steps.settings.schedule import planned_time
from steps.settings.settings import choose_settings, load_settings
from tests.fuzz import inputs

NUMBERS = (
    "0", "1", "-1", "+5", "1e3", "1e999", "-0", "0.5", "1_000", "٣", "０", " 5 ", "NaN", "inf", "0x10", "1e-320", "",
    "9" * 30, "9" * 5_000, "1/2", "1,5", "5s", "5 s", "½", "²", "1e", "--1", "10T", "1.5G", "99999999999G", "0.0001k",
)  # fmt: skip
TEXTS = (
    "",
    " ",
    ",",
    ",,",
    "\x00",
    "\n",
    "x" * 300,
    "é",
    "\u202e",
    "a=b",
    "=",
    "==",
    "'",
    '"',
    "\\",
    "$HOME",
    "[/red]",
    "\U0001f600",
    "\ud800",
)
NAMES = (*BY_NAME, "Duration", "DURATION", "durati", "remeasure_ratio", "results", "cells", "__class__", "")


def number(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(NUMBERS)
    digits = str(random.randrange(10 ** random.randint(1, random.choice([2, 2, 3, 12]))))
    return random.choice(["", "", "", "-"]) + digits + random.choice(["", "", "", ".5", "e2", "s", "M"])


def options(random: Random) -> str:
    pairs = []
    for _ in range(random.randint(0, 3)):
        name = random.choice([*BY_NAME] if random.random() < 0.8 else NAMES)
        odd = random.choice([random.choice(TEXTS), "tcp,udp", "forward,reverse", "true", "cubic", "0.05"])
        value = number(random) if random.random() < 0.8 else odd
        pairs.append(f"{name}{random.choice(['='] * 9 + ['', ' = '])}{value}")
    return random.choice([" ", "  ", "\t", "\n"]).join(pairs)


def listed(random: Random, environment: str) -> str:
    kind = "lab" if environment == "lab" else "kubernetes"
    names = [d.name for d in DATAPLANES if d.environment == kind or random.random() < 0.1]
    chosen = [
        name + random.choice(["", "", "+twin", f"+burden={number(random)}", f"+{random.choice(TEXTS)}"])
        for name in random.sample(names, random.randint(0, len(names)))
    ]
    return random.choice([",", " , ", ",,"]).join(chosen) + random.choice(["", "", ",", random.choice(TEXTS)])


def odd(random: Random, *usual: str) -> str:
    """Something usual, as a rule."""
    return random.choice(usual if random.random() < 0.9 else TEXTS)


def refusal(texts: dict[str, str]) -> str | None:
    """Why these texts are no settings, or None."""
    try:
        held(choose_settings(**texts))  # type: ignore[arg-type]
    except BadInput as problem:
        return str(problem)
    return None


def try_one(random: Random) -> inputs.Outcome:
    environment = odd(random, "lab", "prod")
    refused = refusal(
        {
            "profile": odd(random, *profiles.BY_NAME, ""),
            "dataplanes": random.choice(["", listed(random, environment)]),
            "topologies": odd(random, "", ",".join(random.sample([*topologies.BY_NAME], 2))),
            "options": options(random),
            "label": odd(random, "", "word"),
            "nodes": odd(random, "", "a,b"),
            "environment": environment,
        }
    )
    if refused is not None:
        assert refused.strip()
        assert all(len(line) < 600 for line in refused.splitlines())
    return environment if environment in {"lab", "prod"} else "odd", "settings" if refused is None else "refused"


def held(settings: Settings) -> None:
    for name, field in Settings.model_fields.items():
        value, limits = getattr(settings, name), bounds_of(field)
        assert not isinstance(value, int | float) or limits.low <= value <= limits.high, name
    assert load_settings(settings.model_dump_json()) == settings
    assert 0 < planned_time(settings).expected_s < 100 * LONGEST_S
    assert settings.dataplanes
    assert settings.cells


def test_any_options_are_settings_or_a_problem() -> None:
    counts = inputs.run("options", try_one, ci=500)
    assert {end for _, end in counts} == {"refused", "settings"} or counts.total() < 100
