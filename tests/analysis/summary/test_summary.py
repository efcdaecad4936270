"""A summary of runs whose truth is known."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.errors import BadInput
from analysis.sql.database import connect
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, from_json, to_json
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, QUICK, Recipe, summarise


def summary_of(root: Path, recipe: Recipe) -> Summary:
    return summarise(synthetic.database(root, recipe), recipe.run_id)


def test_headline_is_the_true_difference(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe())
    verdicts = {(c.dataplane, c.path): c.verdict for c in summary.of("received_bps")}
    for path in ("pod-to-pod tcp", "pod-to-service tcp", "pod-to-service udp", "external-to-nodeport tcp reverse"):
        assert verdicts["gamma", path] == "higher"
        assert verdicts["delta", path] == "higher"
        assert verdicts["beta", path] in {"same", "undecided"}
    assert verdicts["gamma", "node-to-node tcp"] == "same"
    assert {c.verdict for c in summary.of("cpu_s_per_gbit") if c.dataplane == "gamma"} == {"lower", "same"}
    assert [c.verdict for c in summary.of("connect_p50_s")] == ["same", "lower", "lower"]
    assert summary.headline.startswith(
        "Gamma and Delta + return are each better than Alpha on all 6 kinds of traffic; "
    )
    assert (summary.outcome, summary.interrupted, summary.notice) == ("measured", False, None)
    assert (summary.trials, summary.trials_measured, summary.rounds) == (168, 168, 6)
    assert [(flag.flag, flag.trials) for flag in summary.flags] == [("foreign-cpu", 4)]


def test_run_that_deals_its_paths_out_compares_nothing_and_says_so(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe(rounds=1, dealt=True))
    assert (summary.comparisons, summary.families, summary.outcome) == ((), (), "measured")
    assert summary.headline == (
        "28 trials measured, each path and each tool in one dataplane, so there is nothing to compare."
    )
    assert summary.answer is not None
    assert (summary.answer.kinds, summary.answer.certainty.command) == ((), "")


def test_summary_intervals_contain_the_truth(tmp_path: Path) -> None:
    for c in summary_of(tmp_path, Recipe(rounds=10)).of("received_bps"):
        truth = synthetic.GAINS[c.dataplane] if c.topology != "node-to-node" else 1.0
        assert c.low is not None
        assert c.high is not None
        assert c.low - 0.06 < truth - 1 < c.high + 0.06


def test_summary_round_trips_through_json(tmp_path: Path) -> None:
    recipe = Recipe(rounds=2, between=0.5, fail=frozenset({("beta", "pod-to-pod")}))
    summary = summary_of(tmp_path, recipe)
    assert from_json(to_json(summary)) == summary


def test_invalid_summary_json_is_a_problem() -> None:
    with pytest.raises(BadInput, match=r"the stored verdict can't be read: .*analyse the run again"):
        from_json('{"run_id": 1}')


def test_failures_are_counted_by_reason(tmp_path: Path) -> None:
    recipe = Recipe(fail=frozenset({("beta", "pod-to-service")}), unproven=frozenset({3}))
    summary = summary_of(tmp_path, recipe)
    assert summary.outcome == "measured-with-failures"
    assert sum(failure.count for failure in summary.failures) == summary.trials_failed
    assert summary.trials_failed == summary.trials - summary.trials_measured > 20
    reasons = [failure.reason for failure in summary.failures]
    assert any("Connection refused" in reason for reason in reasons)
    assert any("no sign on node-b" in reason for reason in reasons)
    silent = next(c for c in summary.of("received_bps") if (c.dataplane, c.path) == ("beta", "pod-to-service tcp"))
    assert (silent.verdict, silent.value) == ("undecided", None)
    assert "beta has no measured visit here" in silent.sentence


def test_interrupted_run_counts_missing_trials(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe(stop_after=100))
    assert (summary.interrupted, summary.trials_not_run, summary.outcome) == (True, 68, "measured-with-failures")
    assert "68 of 168 trials never ran" in (summary.notice or "")


@pytest.mark.parametrize(("cut_after", "rounds"), [(3 * 28 + 5, 3), (4 * 28, 4), (5, 0)])
def test_round_that_was_cut_short_is_none_that_the_answer_rests_on(cut_after: int, rounds: int, tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe(rounds=6, stop_after=cut_after))
    assert summary.answer is not None
    assert (summary.rounds, summary.answer.certainty.rounds) == (rounds, rounds)
    assert summary.answer.certainty.basis.startswith(f"{rounds} of at most 6 rounds in ")
    assert max((c.rounds for c in summary.comparisons), default=0) == rounds


@pytest.mark.parametrize("recipe", [Recipe(stop_after=0), Recipe(unproven=frozenset(range(1, 25)))])
def test_run_without_measurements_has_no_answer(tmp_path: Path, recipe: Recipe) -> None:
    summary = summary_of(tmp_path, recipe)
    assert summary.outcome == "nothing-measured"
    assert summary.headline == "Nothing was measured, so there is no answer."
    assert all(c.verdict == "undecided" for c in summary.comparisons)


def test_one_round_is_inconclusive(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe(rounds=1))
    assert {c.verdict for c in summary.comparisons} == {"undecided"}
    assert "is undecided" in summary.headline or "are undecided" in summary.headline


def test_single_dataplane_has_no_comparison(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Recipe(entries=ENTRIES[:1]))
    assert summary.headline == "Only Alpha was measured, so there is nothing to compare it with."


def test_skipped_dataplane_has_its_reason_and_is_no_baseline(tmp_path: Path) -> None:
    skipped = ({"subject": "alpha", "severity": "skip", "reason": "it needs root.", "remedy": "Run it as root."},)
    recipe = Recipe(entries=ENTRIES, skipped=skipped, left_out=frozenset({"alpha"}))
    summary = summary_of(tmp_path, recipe)
    assert summary.baseline == "beta"
    assert [(s.name, s.reason) for s in summary.skipped] == [("alpha", "it needs root. Run it as root.")]
    assert "Alpha was left out: it needs root" in (summary.notice or "")
    assert summary.answer is not None
    assert (summary.answer.baseline, [side.name for side in summary.answer.sides]) == (
        "beta",
        ["beta", "gamma", "delta"],
    )


def test_loss_is_compared_on_a_cluster_but_not_in_the_lab(tmp_path: Path) -> None:
    lab = summary_of(tmp_path / "lab", Recipe())
    cluster = summary_of(tmp_path / "cluster", Recipe(environment="cluster-one"))
    assert not lab.of("loss_ratio")
    assert {c.verdict for c in cluster.of("loss_ratio")} == {"lower"}
    assert "not figures of Calico" in (lab.disclaimer or "")
    assert cluster.disclaimer is None


def test_twins_differ_in_name_and_not_in_verdict(tmp_path: Path) -> None:
    twin = {"name": "alpha+twin", "title": "Alpha", "colour": "#0072B2"}
    summary = summary_of(tmp_path, Recipe(entries=(ENTRIES[0], twin), seed=8))
    assert {c.outcome for c in summary.comparisons} <= {"same", "undecided"}
    assert summary.headline.startswith("Alpha and Alpha +twin are equal within 10 % on ")


def test_directions_of_a_path_are_compared_separately(tmp_path: Path) -> None:
    recipe = replace(Recipe(), cells=(*QUICK, ("pod-to-pod", "tcp", "reverse")))
    paths = {c.path for c in summary_of(tmp_path, recipe).of("received_bps")}
    assert {"pod-to-pod tcp forward", "pod-to-pod tcp reverse", "node-to-node tcp"} <= paths


def told_of(root: Path, tools: list[dict[str, object]] | None, **columns: object) -> dict[str, set[str]]:
    """The paths that are compared by each metric, where another tool measured them and the run recorded these."""
    rows = synthetic.rows(Recipe(rounds=2, cells=(("pod-to-pod", "tcp", "forward"),)))
    parameters = json.loads(rows["runs"][0]["parameters"]) | {"tools": tools}
    rows["runs"][0]["parameters"] = json.dumps(parameters)
    for trial in rows["trials"]:
        trial |= {"tool": "netperf", **columns}
    store = Store(str(root))
    store.write("run-1", rows)
    found: dict[str, set[str]] = {}
    for comparison in summarise(connect(store), "run-1").comparisons:
        found.setdefault(comparison.metric, set()).add(comparison.path)
    return found


def test_tool_that_a_run_recorded_is_compared_by_what_it_fills_under_its_short_name(tmp_path: Path) -> None:
    entry: dict[str, object] = {"name": "rr", "tool": "netperf", "transport": "tcp", "figures": ["connect_p50_s"]}
    assert told_of(tmp_path, [entry], connect_p50_s=1e-4) == {"connect_p50_s": {"pod-to-pod rr"}}


def test_tool_that_a_run_did_not_record_goes_by_its_own_name(tmp_path: Path) -> None:
    found = told_of(tmp_path, None)
    assert found["received_bps"] == found["cpu_s_per_gbit"] == {"pod-to-pod netperf tcp"}


def test_unknown_run_error_lists_known_runs(tmp_path: Path) -> None:
    con = synthetic.database(tmp_path, Recipe())
    with pytest.raises(BadInput, match=r"there is no run 'run-9' in this store; the latest are run-1"):
        summarise(con, "run-9")
