"""The verb preflight: its answer is the one that the run's own steps would give."""

import re
from pathlib import Path

import pytest

from steps.cluster.lab import sandbox
from steps.domain import Finding
from steps.settings.remaining import remainder
from steps.settings.settings import choose_settings
from steps.tasks import preflight as step_module
from tests.steps.tasks.run_task import run_task
from workflows.cli import app, plan

DATAPLANES = ("lab-ebpf+burden=3", "lab-ebpf-dsr+burden=4")


def skip(subject: str) -> Finding:
    return Finding(severity="skip", subject=subject, reason="a burden is a twin's, and it has no twin here")


class Lab:
    """A lab that finds this."""

    def __init__(self, *findings: Finding) -> None:
        self._findings = findings

    def preflight(self, _settings: object) -> list[Finding]:
        return list(self._findings)

    def provenance(self, _settings: object) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ([], 0, "A run can go on here."),
        ([skip(DATAPLANES[0])], 0, "A run can go on here."),
        (
            [skip(dataplane) for dataplane in DATAPLANES],
            2,
            "No run can go on here: what is left out leaves nothing to measure.",
        ),
        ([skip("pod-to-pod")], 2, "No run can go on here: what is left out leaves nothing to measure."),
        ([Finding(severity="stop", subject="iperf3", reason="it is missing")], 2, "No run can go on here."),
    ],
)
def test_preflight_says_no_where_nothing_is_left_to_measure(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    code: int,
    last: str,
) -> None:
    monkeypatch.setattr(sandbox, "is_inside", lambda: True)
    monkeypatch.setattr(plan, "connect_cluster", lambda *_, **__: Lab(*findings))
    argv = ["preflight", "--profile=smoke", f"--dataplanes={','.join(DATAPLANES)}", "--topologies=pod-to-pod"]
    assert app.main(argv) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.mark.parametrize("subjects", [DATAPLANES, ("pod-to-pod",)])
def test_step_refuses_by_the_same_rule_and_tells_each_reason_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subjects: tuple[str, ...]
) -> None:
    warning = Finding(severity="warn", subject="cluster", reason="it is busy")
    found = [warning, *map(skip, subjects)]
    monkeypatch.setattr(step_module, "connect_cluster", lambda *_, **__: Lab(*found))
    settings = choose_settings(profile="smoke", dataplanes=",".join(DATAPLANES), topologies="pod-to-pod")
    ended = run_task("steps.tasks.preflight:preflight", {"settings": settings.model_dump_json()}, tmp_path)
    assert (ended.code, ended.message) == (2, "\n".join(skip(subject).sentence for subject in subjects))
    printed = "".join(capsys.readouterr())
    assert [printed.count(finding.sentence) for finding in found] == [1] * len(found)


@pytest.mark.parametrize("verb", ["preflight", "run"])
def test_preflight_refuses_results_that_a_run_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setattr(sandbox, "is_inside", lambda: False)
    (tmp_path / "afile").touch()
    assert app.main([verb, "--profile=smoke", f"--results={tmp_path}/afile"]) == 2
    place = rf"{tmp_path}/afile"  # root's folders are looked at before anything is written there
    said = rf"can't (write {place}.*: a file is in the way of a folder; |use {place}: {place} is no folder; )"
    assert re.match(said, capsys.readouterr().err)


def test_preflight_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_inside", lambda: False)
    monkeypatch.setattr(sandbox, "run_in_sandbox", lambda *_, **__: 0)
    assert app.main(["preflight", "--profile=smoke", f"--results={tmp_path}/new"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_stop_refuses_alone_and_skips_do_where_nothing_is_left() -> None:
    settings = choose_settings(profile="smoke", dataplanes=",".join(DATAPLANES))
    stop = Finding(severity="stop", subject="iperf3", reason="it is missing")
    assert remainder(settings, [skip(DATAPLANES[0]), stop]).refusing == (stop,)
    rest = remainder(settings, [skip(DATAPLANES[0])])
    assert (rest.settings.dataplanes, rest.refusing, rest.is_possible) == (DATAPLANES[1:], (), True)
    assert len(remainder(settings, map(skip, DATAPLANES)).refusing) == 2
