"""The host network beside each trial, in the order in which they were measured, and what older runs have of it."""

import json
from pathlib import Path

import pytest

from steps import documents
from steps.collect.visit_record import VisitRecord
from steps.domain import Visit
from steps.settings import turn_order
from tests.steps.builders import attempt
from tests.steps.collect.collected import BEFORE, first, replaced, tables, trial_row, visits


def test_references_of_older_runs_are_read(run: Path) -> None:
    """They had two canaries alone, in folders of their own, and trials without turns."""
    folder, path = first(run)
    last = documents.trial_name(len(visits(run)[0].trials) + 1)
    for file, moment in ((BEFORE, "before"), (f"{turn_order.HOST_NETWORK}/{last}", "after")):
        (folder / f"canary-{moment}").mkdir()
        (folder / file).rename(folder / f"canary-{moment}" / documents.CANARY)
    replaced(path, turn=None)
    found = tables(run)["visits"][0]
    assert found["canary_before_bps"] == found["canary_after_bps"] == pytest.approx(33871641481.4)
    assert (found["error"], len(found["idle_nodes"])) == (None, 1)
    row = trial_row(run)
    assert (row["outcome"], row["host_network_bps"]) == ("measured", None)


@pytest.mark.parametrize(
    ("turns", "disturbed", "expected"),
    [
        ({1: 10.0, 4: 30.0}, (), 20.0),
        ({1: 10.0, 4: 30.0}, (4,), 10.0),
        ({1: 10.0, 4: 30.0}, (1, 4), None),
        ({1: 10.0, 2: 20.0, 4: 30.0, 5: 50.0}, (), 25.0),
        ({4: 30.0}, (), 30.0),
        ({9: 30.0}, (), None),
        ({1: None, 4: 30.0}, (), 30.0),
        ({}, (), None),
    ],
)
def test_host_network_is_the_mean_of_the_undisturbed_references_beside_a_trial(
    turns: dict[int, float | None], disturbed: tuple[int, ...], expected: float | None
) -> None:
    visit = Visit(visit=1, round=1, dataplane="lab-iptables", trials=())
    references = tuple(
        documents.CanaryDocument(
            moment="between",
            turn=turn,
            attempt=None if bps is None else attempt(stdout=with_rate(bps)),
            flags=("foreign-cpu",) if turn in disturbed else (),
        )
        for turn, bps in turns.items()
    )
    record = VisitRecord(visit, configure=None, settle=None, prepare=None, clear=None, references=references)
    assert record.host_network_bps(3, ()) == (None if expected is None else pytest.approx(expected * 1e9, rel=1e-6))
    assert record.host_network_bps(None, ()) is None
    if disturbed:
        flagged = record.host_network_bps(3, ("foreign-cpu",))
        assert flagged == pytest.approx(20e9, rel=1e-6), "beside a trial that is marked itself, all of them count"


def with_rate(gbps: float) -> str:
    """A recorded canary's output, with another rate."""
    document = json.loads(attempt().stdout)
    for end in (document["end"]["sum_sent"], document["end"]["sum_received"]):
        end |= {"bits_per_second": gbps * 1e9, "bytes": gbps * 1e9 * end["seconds"] / 8}
    return json.dumps(document)


def test_plan_of_an_older_version_is_taken_in_its_own_order(run: Path) -> None:
    """Its trials stood together by topology, and its dataplanes were drawn otherwise."""
    preflight = documents.read_document(run / documents.PREFLIGHT, documents.Preflight)
    first_visit, second = preflight.visits
    swapped = [
        visit.model_copy(
            update={
                "dataplane": other.dataplane,
                "trials": tuple(
                    trial.model_copy(update={"position": position, "trial": number, "repetition": 1})
                    for position, (number, trial) in enumerate(
                        zip(
                            [trial.trial for trial in visit.trials],
                            sorted(visit.trials, key=lambda trial: (trial.topology, trial.tool)),
                            strict=True,
                        ),
                        1,
                    )
                ),
            }
        )
        for visit, other in ((first_visit, second), (second, first_visit))
    ]
    documents.write_document(run / documents.PREFLIGHT, preflight.model_copy(update={"visits": tuple(swapped)}))
    found = tables(run)
    assert [row["dataplane_requested"] for row in found["visits"]] == [visit.dataplane for visit in swapped]
    assert [row["error"] for row in found["visits"]] == [None, None]
    assert found["runs"][0]["provenance"] == {"kernel": "6"}, "the preflight is not damaged"


@pytest.mark.parametrize("fault", ["a trial less", "a number twice", "another dataplane", "another duration"])
def test_visits_of_another_plan_are_none_of_this_one(run: Path, fault: str) -> None:
    preflight = documents.read_document(run / documents.PREFLIGHT, documents.Preflight)
    (visit, *others), trials = preflight.visits, list(preflight.visits[0].trials)
    changes: dict[str, dict[str, object]] = {
        "a trial less": {"trials": tuple(trials[:-1])},
        "a number twice": {"trials": (*trials[:-1], trials[-1].model_copy(update={"trial": trials[0].trial}))},
        "another dataplane": {"dataplane": "lab-nftables"},
        "another duration": {"trials": (*trials[:-1], trials[-1].model_copy(update={"duration_s": 9}))},
    }
    altered = (visit.model_copy(update=changes[fault]), *others)
    documents.write_document(run / documents.PREFLIGHT, preflight.model_copy(update={"visits": altered}))
    assert tables(run)["runs"][0]["provenance"] is None
