"""The last task: what makes it fail, and with which sentence."""

from pathlib import Path

import pytest

from steps.tasks.verdict import verdict

HEADLINE = "Against iptables, eBPF has more throughput."
REGRESSION = "Worse: ebpf, since the night of 2026-11-20 (run night-26): pod-to-service tcp −12 % [−15, −9]."


def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str, regression: str) -> str:
    log = tmp_path / "termination-log"
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(log))
    ended = verdict(headline=HEADLINE, outcome=outcome, regression=regression)
    sentence = log.read_text(encoding="utf-8")
    assert (ended.exit_code, ended.verdict) == (1, sentence)
    return sentence


def test_complete_run_without_regression_passes() -> None:
    ended = verdict(headline=HEADLINE, outcome="measured", regression="")
    assert (ended.exit_code, ended.verdict) == (0, HEADLINE)


def test_regression_fails_the_run_with_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = message(tmp_path, monkeypatch, "measured", REGRESSION)
    assert sentence == f"{REGRESSION} The report lists every change."


def test_failed_trials_do_not_hide_a_regression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = message(tmp_path, monkeypatch, "measured-with-failures", REGRESSION)
    assert sentence.startswith(f"{REGRESSION} {HEADLINE} Not everything was measured")
    assert message(tmp_path, monkeypatch, "nothing-measured", "").startswith(HEADLINE)
