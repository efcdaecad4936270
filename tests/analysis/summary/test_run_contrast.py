"""Two groups of stored runs compared: what stands first, what is compared, and what the differences rest on."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import BadInput
from analysis.report import contrast_page
from analysis.sql import database
from analysis.store.store import Store
from analysis.summary.contrast.markdown import to_markdown
from analysis.summary.contrast.wording import legend
from tests.analysis import synthetic
from tests.analysis.contrasted import SMALL, compared, gained, one, recipe, stored
from tests.analysis.synthetic import ENTRIES


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Before and after of a cluster, each by one run and by labelled nights; and two lab runs."""
    before, after = gained(1.02, 1.41), gained(1.02, 1.18)
    nights = [recipe(f"b-{n}", at=n, environment="tiger", trigger="nightly", gains=before) for n in range(4)]
    nights += [recipe(f"a-{n}", at=8 + n, environment="tiger", trigger="nightly", gains=after) for n in range(4)]
    singles = [
        recipe("prod-1", environment="prod", gains=before, between=0.01, within=0.01),
        recipe("prod-2", at=2.4, environment="prod", gains=after, between=0.01, within=0.01, kernel="6.18.6"),
        recipe("lab-1", at=5, gains=before, between=0.01, within=0.01),
        recipe("lab-2", at=5.1, gains=after, between=0.01, within=0.01),
    ]
    labels = {run.run_id: {"label": {"b": "before", "a": "after"}[run.run_id[0]]} for run in nights}
    extra: dict[str, dict[str, Any]] = {"lab-2": {"offloads": True}}
    return stored(tmp_path_factory.mktemp("store"), *nights, *singles, parameters=labels | extra)


def test_contrast_finds_a_gain_that_shrank(clusters: Store) -> None:
    found = compared(clusters, "prod-1", "prod-2")
    gamma = one(found, "gamma", "alpha")
    assert gamma.verdict == "lower"
    assert gamma.outcome == "worse"
    assert gamma.a == pytest.approx(0.41, abs=0.06)
    assert gamma.b == pytest.approx(0.18, abs=0.06)
    assert gamma.low is not None
    assert gamma.high is not None
    assert gamma.low < 1.18 / 1.41 - 1 < gamma.high < 0
    itself = one(found, "gamma", None)
    assert itself.figures.endswith("Gbit/s")
    assert one(found, "beta", None).verdict == one(found, "beta", "alpha").verdict == "same"
    connect = one(found, "gamma", "alpha", "pod-to-service", "connect_p50_s")
    assert (connect.verdict, connect.outcome) == ("higher", "worse")
    assert found.headline.startswith("Gamma")
    assert "B against A is worse on" in found.headline


def test_conditions_that_differed_and_what_one_run_a_side_cannot_exclude(clusters: Store) -> None:
    found = compared(clusters, "prod-1", "prod-2")
    texts = [fact.text for fact in found.beside]
    assert "kernel 6.18.5 → 6.18.6" in texts
    assert "time of day about 22:00 UTC → about 8:00 UTC" in texts
    assert any(text.startswith("began 2026-03-01 22:00 UTC → 2026-03-04 07:36 UTC") for text in texts)
    assert "One run stands on each side" in found.notes[0]
    assert found.headline.endswith("One run a side tells how two moments differ, and not what made them differ.")
    assert "as differences between the two moments" in legend(found.contrasts, found.margin_ratio)
    assert {c.basis for c in found.contrasts} == {"visits"}


def test_lab_runs_are_compared_by_ratios_and_a_condition_stands_first(clusters: Store) -> None:
    found = compared(clusters, "lab-1", "lab-2")
    assert {c.against for c in found.contrasts} == {"alpha"}
    assert found.beside[0].text == "offloads false → true"
    assert found.notes[0].startswith("The method differs: offloads is false in A and true in B.")
    assert any("drift by a tenth in an hour" in note for note in found.notes)
    assert one(found, "gamma", "alpha").verdict == "lower"


def test_method_is_the_options_as_they_are_typed_and_no_outcome(tmp_path: Path) -> None:
    """A smoke run against a default one: what a run recorded of its end is no method, and an option stands once."""
    store = stored(
        tmp_path,
        recipe("one"),
        recipe("two", at=1),
        parameters={
            "one": {"remeasure_ratio": 0.0, "foreign_cpu_limit_ratio": 0.1},
            "two": {"stopped": "rounds", "stopped_reason": "After 2 rounds nothing can be decided yet."},
        },
    )
    rows = synthetic.rows(recipe("many", at=2))
    rows["trials"] = [{**trial, "services": 5000} for trial in rows["trials"]]
    store.write("many", rows | {"runs": [{**rows["runs"][0], "provenance": json.dumps({"services": 5000})}]})
    (note, *_) = compared(store, "one", "two").notes
    assert note.startswith("The method differs: foreign_cpu_limit is 0.1 in A and 0.15 in B. What is found")
    facts = [fact for fact in compared(store, "two", "many").beside if fact.name == "services"]
    assert [(fact.kind, fact.b) for fact in facts] == [("method", "5 000")]


def test_labelled_runs_are_nights_as_blocks(clusters: Store) -> None:
    found = compared(clusters, "label=before", "label=after")
    gamma = one(found, "gamma", "alpha")
    assert gamma.basis == "nights"
    assert gamma.runs == (4, 4)
    assert gamma.visits == (20, 20)
    assert gamma.verdict == "lower"
    assert not any("One run stands" in note for note in found.notes)
    assert "two moments" not in found.headline + legend(found.contrasts, found.margin_ratio)
    assert any("Runs count as nights" in note for note in found.notes)


def test_history_of_an_environment_widens_intervals_of_single_runs(clusters: Store, tmp_path: Path) -> None:
    known = one(compared(clusters, "tiger:latest~1", "tiger:latest"), "gamma", "alpha")
    assert known.basis == "history"
    alone = stored(tmp_path, recipe("a-2", at=10, environment="tiger"), recipe("a-3", at=11, environment="tiger"))
    by_visits = one(compared(alone, "a-2", "a-3"), "gamma", "alpha")
    assert by_visits.basis == "visits"
    assert known.high is not None
    assert known.low is not None
    assert by_visits.high is not None
    assert by_visits.low is not None
    assert known.high - known.low > by_visits.high - by_visits.low


def test_between_clusters_figures_are_compared_and_between_lab_and_cluster_ratios(tmp_path: Path) -> None:
    lab = tuple({**entry, "name": f"lab-{entry['name']}"} for entry in ENTRIES[:3])
    gains = {f"lab-{name}": gain for name, gain in gained(1.02, 1.41).items()}
    store = stored(
        tmp_path,
        recipe("one", environment="prod"),
        recipe("two", environment="stage"),
        recipe("three", entries=lab, gains=gains),
    )
    found = compared(store, "one", "two")
    assert {c.against for c in found.contrasts} == {None, "alpha"}
    assert any("prod and stage are two environments" in note for note in found.notes)
    mixed = compared(store, "one", "three")
    assert {(c.dataplane, c.against) for c in mixed.contrasts} == {("beta", "alpha"), ("gamma", "alpha")}
    assert all(c.change is not None for c in mixed.contrasts if c.metric == "received_bps")
    with pytest.raises(BadInput, match="measured no dataplane in common: A alpha"):
        compared(stored(tmp_path, recipe("four", entries=ENTRIES[3:])), "one", "four")


def test_contrast_of_another_quantity_is_left_out_or_refused_with_a_sentence(tmp_path: Path) -> None:
    cells = (*SMALL.cells, ("pod-to-service", "udp", "forward"))
    store = stored(
        tmp_path,
        recipe("plain", cells=cells),
        recipe("limited", cells=cells),
        recipe("longer", cells=cells),
        parameters={"limited": {"offered_bps": 5e8}, "longer": {"duration_s": 8}},
    )
    found = compared(store, "plain", "limited")
    assert found.left_out == ("Not compared, since rate is none in A and 500000000.0 in B: pod-to-service udp.",)
    assert "udp" not in {c.transport for c in found.contrasts}
    with pytest.raises(BadInput, match=r"duration is 1 in A and 8 in B\. Measure both alike, .*ANY_METHOD=1"):
        compared(store, "plain", "longer")
    forced = compared(store, "plain", "longer", any_method=True)
    assert {"udp", "tcp"} == {c.transport for c in forced.contrasts}
    assert any("as asked for" in note for note in forced.notes)


def test_contrast_has_the_paths_of_both_sides_and_names_the_rest(tmp_path: Path) -> None:
    other = (ENTRIES[1], ENTRIES[2], ENTRIES[3])
    store = stored(
        tmp_path,
        recipe("one", environment="prod"),
        recipe("two", environment="prod", entries=other, cells=(*SMALL.cells[:1], synthetic.QUICK[3])),
        recipe("far", environment="prod", cells=synthetic.QUICK[3:4]),
    )
    found = compared(store, "one", "two")
    assert [arm.name for arm in found.arms] == ["beta", "gamma"]
    assert found.left_out == (
        "Measured in A only: pod-to-service tcp and pod-to-service connect.",
        "Measured in B only: pod-to-pod-same-node tcp.",
        "Measured in A only: alpha.",
        "Measured in B only: delta.",
    )
    assert any("The baseline of A is alpha; here ratios are to beta" in note for note in found.notes)
    with pytest.raises(BadInput, match="A and B measured no path in common"):
        compared(store, "one", "far")


def test_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    store = stored(tmp_path, recipe("one"), recipe("two", at=1), parameters={"two": {"continues": "one"}})
    for a, b in (("one", "one"), ("one", "two"), ("latest,one", "latest")):
        with pytest.raises(BadInput, match="in common: a run can't be compared with itself"):
            compared(store, a, b)
    lonely = stored(tmp_path, recipe("x", entries=ENTRIES[:1]), recipe("y", entries=ENTRIES[:1]))
    with pytest.raises(BadInput, match="only as ratios to another dataplane's"):
        compared(lonely, "x", "y")


def test_failures_zeros_and_single_visits_are_undecided_with_their_reason(tmp_path: Path) -> None:
    store = stored(
        tmp_path,
        recipe("one", environment="prod", fail=frozenset({("beta", "pod-to-pod")})),
        recipe("two", environment="prod"),
        recipe("short", environment="prod", rounds=1),
    )
    rows = synthetic.rows(recipe("zero", environment="prod"))
    for trial in rows["trials"]:
        if trial["topology"] == "pod-to-pod":
            trial["received_bps"] = 0.0
    store.write("zero", rows)
    failed = one(compared(store, "one", "two"), "beta", None)
    assert (failed.verdict, failed.reason, failed.a) == ("undecided", "in A beta has no measured visit here", None)
    zero = one(compared(store, "two", "zero"), "beta", "alpha")
    assert (zero.verdict, zero.reason) == ("undecided", "in B a figure of zero has no ratio")
    short = one(compared(store, "two", "short"), "beta", "alpha")
    assert short.reason == "in B one visit leaves no spread to judge by; 2 are the least"
    assert one(compared(store, "two", "zero"), "beta", "alpha", "pod-to-service").low is not None


def test_trials_that_failed_and_those_that_never_ran_are_counted_as_in_the_runs_report(tmp_path: Path) -> None:
    cut = recipe("cut", stop_after=30, unproven=frozenset({2}))
    store = stored(tmp_path, cut, recipe("whole", at=1))
    with database.connect(store, asking="") as con:
        summary = synthetic.summarise(con, "cut")
    assert summary.notice is not None
    facts = {fact.name: fact.a for fact in compared(store, "cut", "whole").beside}
    for word in ("failed", "never ran"):
        assert f"{facts[f'trials that {word}']} trials {word}" in summary.notice


def test_visits_without_rounds_are_paired_in_their_order(tmp_path: Path) -> None:
    """As those of other tools are: nothing proves them, and nobody named their rounds."""
    store = Store(str(tmp_path))
    for name, gains in (("one", gained(1.0, 1.5)), ("two", gained(1.0, 1.1))):
        rows = synthetic.rows(recipe(name, environment="imported:knb", gains=gains))
        for visit in rows["visits"]:
            visit |= {"round": None, "proof": None, "dataplane_observed": None}
        store.write(name, rows)
    gamma = one(compared(store, "one", "imported:knb:latest"), "gamma", "alpha")
    assert gamma.visits == (5, 5)
    assert gamma.verdict == "lower"


def test_flagged_trials_mark_what_they_enter(tmp_path: Path) -> None:
    store = stored(tmp_path, recipe("one"))
    rows = synthetic.rows(recipe("two"))
    for trial in rows["trials"]:
        trial["flags"] = ["foreign-cpu"]
    store.write("two", rows)
    found = compared(store, "one", "two")
    assert all("†" in c.finding for c in found.contrasts)
    assert any(fact.name == "trials with a flag" and fact.b == "100 %" for fact in found.beside)
    assert "trials are flagged (foreign-cpu)" in found.contrasts[0].sentence


@pytest.mark.parametrize(
    "changed",
    [
        {"label": "\x1b[31m<script>" * 9, "margin_ratio": "much", "dataplanes": "none", "cells": 7},
        {"dataplanes": [], "tools": [{"name": 1}], "rounds": None, "continues": "missing"},
        {"dataplanes": [{"name": "alpha", "title": "<b>|`\n"}], "duration_s": None, "unknown_option": {"deep": [1]}},
    ],
)
def test_hostile_documents_of_a_run_end_in_a_comparison_or_a_sentence(tmp_path: Path, changed: dict[str, Any]) -> None:
    store = stored(tmp_path, recipe("one"))
    rows = synthetic.rows(recipe("two", at=1))
    own = json.loads(rows["runs"][0]["parameters"]) | changed
    hostile = {"kernel": "<script>\x1b[2J" * 50, "nodes": [{"name": "a"}, {"name": {"b": [1, None]}}], "": {}}
    rows["runs"][0] |= {"parameters": json.dumps(own), "provenance": json.dumps(hostile), "started_at": None}
    store.write("two", rows)
    for a, b in (("one", "two"), ("two", "one")):
        with contextlib.suppress(BadInput):
            assert contrast_page.render(found := compared(store, a, b))
            assert not re.search(r"(?<!\\)<script", to_markdown(found))


def test_paths_that_a_side_did_not_measure_are_one_sentence(tmp_path: Path) -> None:
    failed = frozenset({(name, topology) for name in ("alpha", "beta", "gamma") for topology in ("pod-to-service",)})
    store = stored(
        tmp_path,
        recipe("one", fail=failed),
        recipe("two"),
        recipe("three", fail=frozenset({("gamma", "pod-to-pod"), ("gamma", "pod-to-service")})),
        recipe("none", stop_after=0),
    )
    found = compared(store, "one", "two")
    assert found.left_out == ("A measured nothing on 2 paths: pod-to-service tcp and pod-to-service connect.",)
    assert {c.topology for c in found.contrasts} == {"pod-to-pod"}
    assert compared(store, "two", "three").left_out == ("B measured nothing with gamma.",)
    with pytest.raises(BadInput, match="measured no dataplane in common: A alpha, beta and gamma, B none"):
        compared(store, "two", "none")


def test_number_of_services_is_a_condition_and_scales_in_common_are_compared(tmp_path: Path) -> None:
    store = stored(tmp_path, recipe("few"), recipe("several"))
    for name, counts in (("many", (5000,)), ("several", (1000, 5000))):
        rows = synthetic.rows(recipe(name))
        rows["trials"] = [
            {**trial, "services": count, "trial": trial["trial"] + 1000 * place}
            for place, count in enumerate(counts)
            for trial in rows["trials"]
        ]
        store.write(name, rows)
    found = compared(store, "few", "many")
    assert found.beside[0].text == "services 1 000 → 5 000"
    assert found.notes[0].startswith("The method differs: services is 1 000 in A and 5 000 in B.")
    assert all(c.low is not None for c in found.contrasts)
    both = compared(store, "few", "several")
    assert {c.services for c in both.contrasts} == {1000}
    assert "Measured in B only: pod-to-pod tcp, 5 000 Services" in both.left_out[0]
    assert "method" not in {fact.kind for fact in both.beside}
