"""How a step's pod runs it: its inputs, artifacts, output parameters and exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steps.tasks import run
from steps.tasks.run import Folders
from tests.workflows.local import toy_steps

TOYS = toy_steps.__name__


def _folders(home: Path) -> Folders:
    return Folders(home / "inputs", home / "outputs")


def _given(**inputs: str) -> str:
    """As Argo's tag {{inputs.parameters}} writes them, with a field that is of no interest."""
    return json.dumps([{"name": name, "value": value, "description": "x"} for name, value in inputs.items()])


def test_outputs_are_written_as_parameters(tmp_path: Path) -> None:
    assert run.run(f"{TOYS}:say", _given(text="two\nlines", more="ignored"), _folders(tmp_path)) == 0
    assert (tmp_path / "outputs/parameters/printed").read_text() == "two\nlines"
    assert [path.name for path in (tmp_path / "outputs/parameters").iterdir()] == ["printed"]


def test_output_that_is_no_text_is_json(tmp_path: Path) -> None:
    assert run.run(f"{TOYS}:listed", _given(text="a,b"), _folders(tmp_path)) == 0
    assert json.loads((tmp_path / "outputs/parameters/items").read_text()) == ["a", "b"]


def test_outputs_of_a_failing_step_are_kept(tmp_path: Path) -> None:
    inputs = _given(headline="h", outcome="measured-with-failures", regression="")
    message = tmp_path / "message"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_TERMINATION_LOG", str(message))
        assert run.run("steps.tasks.verdict:verdict", inputs, _folders(tmp_path)) == 1
    assert (tmp_path / "outputs/parameters/verdict").read_text().startswith("h Not everything was measured")


@pytest.mark.parametrize("inputs", ["", "null", "[]"])
def test_step_without_inputs(inputs: str, tmp_path: Path) -> None:
    assert run.run(f"{TOYS}:nothing", inputs, _folders(tmp_path)) == 0
    assert not list(tmp_path.iterdir())


def test_artifacts_are_paths_in_the_folders(tmp_path: Path) -> None:
    assert run.run(f"{TOYS}:keep", _given(text="a"), _folders(tmp_path)) == 0
    assert (tmp_path / "outputs/artifacts/kept").read_text() == "a"
    assert run.run(f"{TOYS}:read_all", "[]", _folders(tmp_path)) == 0
    assert not (tmp_path / "outputs/parameters/printed").read_text()
    (tmp_path / "inputs/artifacts/kept").mkdir(parents=True)
    (tmp_path / "inputs/artifacts/kept/a.txt").touch()
    assert run.run(f"{TOYS}:read_all", "[]", _folders(tmp_path)) == 0
    assert (tmp_path / "outputs/parameters/printed").read_text() == "a.txt"


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ("[]", "steps.tasks.settle:settle needs input settings, visit: submit the workflow"),
        ('[{"name": "settings", "value": "{}"}]', "steps.tasks.settle:settle needs input visit: submit the workflow"),
        ("{", "the inputs of steps.tasks.settle:settle can't be read: submit the workflow"),
        ('{"visit": "01"}', "the inputs of steps.tasks.settle:settle can't be read: submit the workflow"),
        (
            '[{"name": "visit", "value": 1}]',
            "the inputs of steps.tasks.settle:settle can't be read: submit the workflow",
        ),
    ],
)
def test_bad_inputs_end_the_step_in_a_sentence(
    inputs: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(tmp_path / "message"))
    assert run.run("steps.tasks.settle:settle", inputs, _folders(tmp_path)) == 2
    assert (tmp_path / "message").read_text().startswith(sentence)


def test_step_in_a_process_loads_no_hera(tmp_path: Path) -> None:
    """As a pod starts it; loading it costs more than all else that most steps load."""
    inputs = tmp_path / "inputs.json"
    inputs.write_text(_given(name="steps.tasks.configure"))
    variables = {**os.environ, run.INPUTS_FOLDER: str(tmp_path / "i"), run.OUTPUTS_FOLDER: str(tmp_path / "o")}
    command = [sys.executable, *run.COMMAND, f"{TOYS}:loaded", str(inputs)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads((tmp_path / "o/parameters/items").read_text())
    assert "steps.tasks.configure" in loaded
    assert not {"hera", "pyarrow", "duckdb", "altair", "scipy"} & set(loaded)
