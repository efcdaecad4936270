"""Changes over stored nights with a known truth: the nights compared, and the summary."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis import metrics
from analysis.sql.database import Connection, connect
from analysis.stats import run
from analysis.stats.nights import history
from analysis.stats.nights.history import changed_provenance
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, from_json, to_json
from steps.catalogue.option_fields import Option
from steps.catalogue.options import NOT_METHOD, OPTIONS, Settings, method
from steps.collect.looks import look_parameters
from steps.settings.settings import choose_settings
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe, nights, summarise
from tests.options import another

NIGHT = 26
COUNT = 30
LAST = f"night-{COUNT - 1:02}"
SMALL = Recipe(
    trigger="nightly",
    entries=(ENTRIES[0], *ENTRIES[2:]),
    cells=(
        ("pod-to-pod", "tcp", "forward"),
        ("pod-to-service", "tcp", "forward"),
        ("pod-to-service", "udp", "forward"),
    ),
    rounds=4,
    within=0.01,
)
CLUSTER = replace(SMALL, environment="tiger")
CHANGING = [option for option in OPTIONS if option.changes_method and option.read]


def summary_of(root: Path, recipes: list[Recipe], *again: Recipe) -> Summary:
    """The summary of the last of these runs, some of which are stored again and then differ."""
    synthetic.stored(root, *recipes)
    return summarise(synthetic.database(root, *again), recipes[-1].run_id)


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """A cluster on which one dataplane lost 12 % four nights ago, with a new kernel."""
    recipes = nights(COUNT, {"gamma": (NIGHT, 0.88)}, CLUSTER)
    recipes[NIGHT:] = [replace(recipe, kernel="6.18.6") for recipe in recipes[NIGHT:]]
    return summary_of(tmp_path_factory.mktemp("slower"), recipes)


def test_regression_names_dataplane_size_and_night(slower: Summary) -> None:
    assert {change.dataplane for change in synthetic.regressions(slower)} == {"gamma"}
    assert {
        (change.topology, change.against) for change in synthetic.regressions(slower) if change.metric == "received_bps"
    } == {
        ("pod-to-pod", None),
        ("pod-to-pod", "alpha"),
        ("pod-to-service", None),
        ("pod-to-service", "alpha"),
    }
    for change in synthetic.regressions(slower):
        assert change.run_id == f"night-{NIGHT}"
        assert change.began_at == SMALL.started_at + timedelta(days=NIGHT)
        assert (change.nights_since, change.beside) == (4, ("kernel 6.18.5 → 6.18.6",))
        truth = 0.88 if change.better == "higher" else 1 / 0.88
        assert change.low - 0.02 < truth - 1 < change.high + 0.02
    assert "gamma, since the night of 2026-03-27 (run night-26)" in slower.alarm
    assert slower.failing == slower.alarm


def test_changes_round_trip_through_json(slower: Summary) -> None:
    assert slower.changes
    assert from_json(to_json(slower)) == slower


def test_verdict_without_changes_can_still_be_read(slower: Summary) -> None:
    old = {k: v for k, v in json.loads(to_json(slower)).items() if k not in {"changes", "history", "trigger"}}
    read = from_json(json.dumps(old))
    assert (read.changes, read.history, read.failing) == ((), None, "")


def test_history_length_and_detectable_effect_are_reported(slower: Summary) -> None:
    assert slower.history is not None
    assert (slower.history.nights, slower.history.since) == (COUNT, SMALL.started_at)
    assert slower.history.detectable_effect is not None
    assert 0.01 < slower.history.detectable_effect < 0.12
    assert "of 30 nights since 2026-03-01" in slower.history.sentence


@pytest.mark.parametrize("trigger", ["nightly", "local", "submitted"])
def test_regression_fails_only_nightly_runs(trigger: str, tmp_path: Path) -> None:
    summary = summary_of(tmp_path, nights(20, {"gamma": (16, 0.8)}, replace(SMALL, trigger=trigger)))
    assert summary.alarm
    assert bool(summary.failing) == (trigger == "nightly")
    assert summary.outcome == "measured"


def test_regression_limit_comes_from_the_run(tmp_path: Path) -> None:
    recipes = nights(20, {"gamma": (16, 0.8)}, SMALL)
    store, rows = synthetic.stored(tmp_path, *recipes), synthetic.rows(recipes[-1])
    parameters = json.loads(rows["runs"][0]["parameters"]) | {"regression_limit_ratio": 0.5}
    rows["runs"][0]["parameters"] = json.dumps(parameters)
    store.write("night-19", rows)
    summary = summarise(connect(store, asking=""), "night-19")
    assert {change.status for change in summary.changes} == {"small"}
    assert summary.history is not None
    assert summary.history.limit == 0.5


def test_lab_history_is_relative_to_the_baseline(tmp_path: Path) -> None:
    """Everything became slower, as on a machine that is busier: ratios stay what they were."""
    slow = nights(20, dict.fromkeys(("alpha", "gamma", "delta"), (15, 0.8)), SMALL)
    lab = summary_of(tmp_path / "lab", slow)
    assert {change.status for change in lab.changes} <= {"small"}  # the noise of these nights has a step of 3 %
    cluster = summary_of(tmp_path / "cluster", [replace(recipe, environment="tiger") for recipe in slow])
    assert {change.against for change in synthetic.regressions(cluster)} == {None}
    assert {change.dataplane for change in synthetic.regressions(cluster)} == {"alpha", "gamma", "delta"}


def test_slower_baseline_is_suspected_when_all_others_gain(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, nights(20, {"alpha": (15, 0.8)}, SMALL))
    assert {change.status for change in summary.changes} == {"improvement"}
    assert summary.history is not None
    assert summary.history.notes[0].startswith("alpha may be what changed in the night of 2026-03-16 (run night-15)")


def test_recovered_change_is_no_regression(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, nights(24, {"gamma": (15, 0.8)}, SMALL, until=20))
    assert not synthetic.regressions(summary)
    assert {change.status for change in summary.changes} >= {"past", "improvement"}


def test_first_night_has_no_history(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, nights(1, {}, SMALL))
    assert (summary.changes, summary.history) == ((), None)


def test_second_night_is_too_few_for_a_change(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, nights(2, {"gamma": (1, 0.3)}, SMALL))
    assert summary.changes == ()
    assert summary.history is not None
    assert "too few to show any change" in summary.history.sentence


# Which nights.


def names(root: Path, *others: Recipe, last: Recipe = SMALL) -> list[str]:
    return compared_with(synthetic.stored(root, *others, last), last.run_id)


def compared_with(store: Store, run_id: str) -> list[str]:
    """The runs with which one is compared, itself the last. They are found in the tables alone."""
    with connect(store) as con:
        return compared_in(con, run_id)


def compared_in(con: Connection, run_id: str) -> list[str]:
    """The same, of a store that is open."""
    return list(history.comparable_runs(con, run.load_run(con, run_id), method))


def test_history_is_of_the_same_environment_and_trigger(tmp_path: Path) -> None:
    before, after = SMALL.started_at - timedelta(days=1), SMALL.started_at + timedelta(days=1)
    others = [
        replace(SMALL, run_id="earlier", started_at=before, seed=9, rounds=1),
        replace(SMALL, run_id="later", started_at=after),
        replace(SMALL, run_id="elsewhere", started_at=before, environment="tiger"),
        replace(SMALL, run_id="by-hand", started_at=before, trigger="submitted"),
    ]
    assert names(tmp_path, *others) == ["earlier", "run-1"]


def test_changed_method_starts_a_new_history(tmp_path: Path) -> None:
    changes: list[tuple[str, object, bool]] = [
        ("duration_s", 2, False),
        ("services", 5, True),
        ("something_new", 1, False),
        ("something_new", None, True),
        ("seed", 1, True),
        ("label", "trial", True),
        ("rounds", 99, True),
        ("regression_limit_ratio", 0.3, True),
        ("dataplanes", [{"name": "alpha"}], True),
        ("tools", [{"name": "tcp"}], True),
    ]
    store = Store(str(tmp_path))
    store.write("run-1", synthetic.rows(SMALL))
    for number, (parameter, value, _) in enumerate(changes):
        put(store, f"other-{number}", {parameter: value}, started_at=SMALL.started_at - timedelta(days=1))
    found = compared_with(store, "run-1")
    for number, (parameter, value, compared) in enumerate(changes):
        assert (f"other-{number}" in found) == compared, (parameter, value)


def put(store: Store, name: str, parameters: Mapping[str, object], *lacking: str, **fields: Any) -> None:  # noqa: ANN401
    """A run with parameters beside the usual, or without some of them; its row alone, for a history needs no more."""
    (row,) = synthetic.rows(replace(SMALL, run_id=name, rounds=1, **fields))["runs"]
    own = json.loads(row["parameters"]) | parameters
    stored = {key: value for key, value in own.items() if key not in lacking}
    store.write(name, {"runs": [row | {"parameters": json.dumps(stored)}]})


@pytest.fixture(scope="module", params=["lab", "prod"])
def of_options(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A run of the defaults; for each option an older one, without it, and one that chose otherwise."""
    store = Store(str(tmp_path_factory.mktemp("options")))

    def put_chosen(name: str, options: str, *lacking: str, hours: int = 0) -> None:
        settings = choose_settings(profile="quick", options=options, environment=request.param)
        started_at = SMALL.started_at + timedelta(hours=hours)
        parameters = settings.model_dump(mode="json")
        put(store, name, parameters, *lacking, environment=request.param, started_at=started_at)

    put_chosen("defaults", "")
    for option in CHANGING:
        put_chosen(f"before-{option.name}", "", option.field, hours=-1)
        put_chosen(f"chosen-{option.name}", f"{option.name}={another(option)}")
    with connect(store) as con:
        yield con


@pytest.mark.parametrize("option", CHANGING, ids=lambda option: option.name)
def test_history_counts_a_run_without_a_newer_option_as_its_default(option: Option, of_options: Connection) -> None:
    assert f"before-{option.name}" in compared_in(of_options, "defaults")


@pytest.mark.parametrize("option", CHANGING, ids=lambda option: option.name)
def test_history_leaves_out_a_run_without_an_option_that_is_chosen_otherwise(
    option: Option, of_options: Connection
) -> None:
    assert compared_in(of_options, f"chosen-{option.name}") == [f"chosen-{option.name}"]


def test_method_fingerprint_ignores_non_method_parameters() -> None:
    beside = {"seed", "label", "results", "rounds", "planned_visits", "findings", "skipped", "dataplanes", "cells"}
    assert beside < NOT_METHOD
    stored = dict.fromkeys(NOT_METHOD, 1) | {"profile": "quick", "environment": "lab", "duration_s": 2}
    found = method(stored | {"offered_bps": None, "of_a_newer_version": 3})
    assert found == method({"profile": "quick", "environment": "lab"}) | {"duration_s": 2, "of_a_newer_version": 3}
    assert not found.keys() & NOT_METHOD


def test_every_setting_and_outcome_that_is_stored_counts_as_the_method_only_if_an_option_says_so() -> None:
    stored = look_parameters((), ()).keys() | Settings.model_fields.keys()
    assert stored - NOT_METHOD <= {option.field for option in OPTIONS if option.changes_method}


def test_history_is_limited_to_the_latest_quarter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert history.MOST_NIGHTS == 90
    monkeypatch.setattr(history, "MOST_NIGHTS", 9)
    store = Store(str(tmp_path))
    for recipe in nights(14, {}, SMALL):
        put(store, recipe.run_id, {}, started_at=recipe.started_at)
    assert compared_with(store, "night-13") == [f"night-{night:02}" for night in range(5, 14)]


# Which figures.


def test_night_value_is_the_geometric_mean_of_paired_rounds(tmp_path: Path) -> None:
    con = synthetic.database(tmp_path, *nights(2, {}, CLUSTER))
    about = run.load_run(con, "night-01")
    found = history.nightly_series(con, about, ["night-00", "night-01"])
    itself = next(s for s in found if (s.metric.name, s.cell.topology, s.dataplane, s.against) == KEY)
    ratio = next(s for s in found if (s.metric.name, s.cell.topology, s.dataplane, s.against) == (*KEY[:3], "alpha"))
    (truth,) = run.query_rows(
        con,
        """select avg(ln(g.received_bps)) as itself, avg(ln(g.received_bps / a.received_bps)) as ratio,
                  stddev_samp(ln(g.received_bps / a.received_bps)) / 2 as error
           from visit_means as g join visit_means as a using (run_id, topology, transport, round)
           where run_id = 'night-01' and topology = 'pod-to-pod' and g.dataplane = 'gamma' and a.dataplane = 'alpha'""",
    )
    assert itself.nights[-1].value == pytest.approx(truth["itself"])
    assert ratio.nights[-1].value == pytest.approx(truth["ratio"])
    assert ratio.nights[-1].error == pytest.approx(truth["error"])


KEY = ("received_bps", "pod-to-pod", "gamma", None)


@pytest.mark.parametrize("environment", ["lab", "tiger"])
def test_every_metric_has_a_history(environment: str, tmp_path: Path) -> None:
    by_scale = (("pod-to-service", by, "forward") for by in ("service-added", "rules-update"))
    cells = (*SMALL.cells, *synthetic.LATENCY[-3:], *by_scale)
    recipes = nights(2, {}, replace(SMALL, environment=environment, cells=cells, references=True))
    con = synthetic.database(tmp_path, *recipes)
    found = history.nightly_series(con, run.load_run(con, "night-01"), ["night-00", "night-01"])
    lab = environment == "lab"
    assert {s.metric.name for s in found} == {m.name for m in metrics.COMPARED if m.in_lab or not lab}
    assert {s.against for s in found} == ({"alpha"} if lab else {None, "alpha"})
    assert all([night.run_id for night in s.nights] == ["night-00", "night-01"] for s in found)


def test_failed_trials_leave_a_gap_in_the_history(tmp_path: Path) -> None:
    recipes = nights(20, {"gamma": (16, 0.8)}, SMALL)
    failed = replace(recipes[5], fail=frozenset({("gamma", "pod-to-pod")}))
    summary = summary_of(tmp_path, recipes, failed, replace(recipes[17], unproven=frozenset({1, 2})))
    (change,) = (c for c in synthetic.regressions(summary) if (c.metric, c.topology) == ("received_bps", "pod-to-pod"))
    assert (change.run_id, change.nights_before, change.nights_after) == ("night-16", 15, 4)


def test_series_not_measured_in_this_run_is_not_judged(tmp_path: Path) -> None:
    recipes = nights(20, {"gamma": (16, 0.8)}, SMALL)
    failed = replace(recipes[-1], fail=frozenset({("gamma", "pod-to-pod")}))
    summary = summary_of(tmp_path, recipes, failed)
    assert {change.topology for change in synthetic.regressions(summary)} == {"pod-to-service"}


def test_zero_throughput_visit_does_not_break_the_history(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for recipe in nights(3, {}, SMALL):
        rows = synthetic.rows(recipe)
        if recipe.run_id == "night-01":
            rows["trials"][0]["received_bps"] = 0.0
        store.write(recipe.run_id, rows)
    con = connect(store)
    found = history.nightly_series(con, run.load_run(con, "night-02"), ["night-00", "night-01", "night-02"])
    assert {len(s.nights) for s in found if s.metric.name == "received_bps"} == {2, 3}


def test_changed_provenance_is_summarised() -> None:
    before = {"kernel": "6.1", "cores": 2, "mtu": {"eth0": 1500}, "gone": 1, "same": None}
    after = {"kernel": "6.2", "cores": 2, "mtu": {"eth0": 1450}, "new": 1, "same": None}
    assert changed_provenance(before, after) == ["kernel 6.1 → 6.2", "mtu changed"]
    many = {f"fact_{n}": n for n in range(9)}
    assert changed_provenance(many, dict.fromkeys(many, -1))[-1] == "5 more"
