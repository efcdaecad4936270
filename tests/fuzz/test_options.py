"""What a person may type: settings that are valid, or a sentence for each fault."""

from random import Random
from typing import Final

from analysis.errors import BadInput
from steps import options, plan
from steps.catalogue import dataplanes, profiles, topologies
from steps.settings import MOST_TRIALS, Settings, choose
from tests.fuzz import inputs
from tests.fuzz.mutations import NUMBERS

WORDS: Final = (
    *("", " ", ",", "=", "==", "+", "+twin", "../../x", "'; drop table runs", "\x00", "\n", "\ud800", "é", "٣", "１"),
    *("x" * 10_000, "1_000", "0x10", "1e3", "+5", "5s", "5 s", "100M", "2.5Gbit/s", "10kbps", "true", "no", "-"),
    *("{{workflow.name}}", "$(id)", "%s", "a=b=c", "1,2", "inf", "NaN", "9" * 400),
)


def try_options(random: Random) -> tuple[str, str]:
    names = [*options.BY_NAME, "unknown", *WORDS]
    known = [one.name for one in (*dataplanes.DATAPLANES, *topologies.TOPOLOGIES)]
    values = (*WORDS, *NUMBERS, *known, *options.PROTOCOLS, *options.DIRECTIONS, *map(str, range(12)))

    def some(most: int) -> str:
        return random.choice((",", ", ", " ")).join(random.choice(values) for _ in range(random.randint(0, most)))

    pairs = " ".join(f"{random.choice(names)}={random.choice(values)}" for _ in range(random.randint(0, 3)))
    given = {
        "profile": random.choice((*profiles.BY_NAME, "", *WORDS)),
        "dataplanes": some(3),
        "topologies": some(2),
        "label": random.choice(WORDS),
        "environment": random.choice(("lab", "prod", *WORDS)),
        "nodes": random.choice(("", "a,b", *WORDS)),
        "results": random.choice(("results", *WORDS)),
    }
    kept = random.sample(list(given), random.randint(0, 2))
    kind = " and ".join(sorted({*kept, *(["options"] if pairs else [])})) or "nothing"
    try:
        chosen = choose(options=pairs, **{name: given[name] for name in kept}, seed_source=lambda: 1)
    except BadInput:
        return kind, "refused"
    assert Settings.model_validate_json(chosen.model_dump_json()) == chosen
    trials = chosen.rounds * len(chosen.dataplanes) * len(chosen.cells) * chosen.repetitions
    assert 0 < trials <= MOST_TRIALS
    assert plan.expected_s(chosen) > 0
    return kind, "chosen"


def test_options() -> None:
    counts = inputs.run("options", try_options, ci=1500)
    assert {end for _, end in counts} == {"chosen", "refused"}
