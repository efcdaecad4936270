"""Documents of real iperf3 from 3.12 to 3.22, damaged or of another test: a report within bounds, or a sentence."""

import json
import math
from random import Random
from typing import Any, Final

import msgspec

from steps.measurement import results
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output
from tests.fuzz import inputs, mutations
from tests.steps.builders import PROBED, RECORDED, attempt, trial
from tests.steps.tools.iperf3_reports import task_of

Counts = dict[str, Any]
DOCUMENTS: Final = {path.name: json.loads(path.read_bytes()) for path in sorted(RECORDED.rglob("*.json"))}


def within_bounds(found: object) -> None:
    """Every figure is finite, not negative, and of its column."""
    for value in msgspec.structs.asdict(found).values() if isinstance(found, msgspec.Struct) else ():
        if isinstance(value, tuple):
            for inner in value:
                within_bounds(inner)
        elif isinstance(value, int | float):
            assert math.isfinite(value)
            assert value >= 0
            assert not isinstance(value, int) or value < 2**63


def one_sentence(failure: Failure) -> None:
    assert failure.reason
    assert "\n" not in failure.reason
    assert len(failure.reason) < 1500
    assert "Traceback" not in failure.reason


def try_document(random: Random) -> tuple[str, str]:
    name = random.choice(list(DOCUMENTS))
    kind, text = mutations.mutated(random, DOCUMENTS[name])
    task = task_of(DOCUMENTS[random.choice(list(DOCUMENTS)) if random.random() < 0.1 else name])
    found = iperf3.read(
        task, (), Output(text, random.choice((b"", b"iperf3: error\n")), random.choice((0,) * 20 + (1, None)))
    )
    if isinstance(found, Failure):
        one_sentence(found)
        return kind, "refused"
    within_bounds(found)
    assert isinstance(found, IperfReport)
    assert found.received_bps > 0
    assert found.duration_s >= 0.9 * task.duration_s
    return kind, "flagged" if found.flags else "read"


def try_probe(random: Random) -> tuple[str, str]:
    kind, text = mutations.mutated(random, PROBED)
    stdout = text.decode(errors="backslashreplace")
    planned = trial(protocol="connect")
    found = results.read_results(planned, attempt(exit_code=0).model_copy(update={"stdout": stdout}))
    results.result_sentence(found)
    if isinstance(found, Failure):
        one_sentence(found)
        return kind, "refused"
    within_bounds(found)
    return kind, "read"


def test_documents_of_iperf3() -> None:
    counts = inputs.run("documents of iperf3", try_document, ci=3000)
    assert {kind for kind, _ in counts} == set(mutations.KINDS)
    assert counts[("cut short", "read")] == 0
    assert counts[("bytes changed", "read")] > 0, "a change in a place that isn't used leaves a report"


def test_figures_of_the_connect_probe() -> None:
    inputs.run("figures of the connect probe", try_probe, ci=1000)
