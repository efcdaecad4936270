"""Results in a folder that others control: what root runs, reads and writes there."""

import asyncio
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import Unsupported
from steps.settings import environment
from steps.tasks.shared.step import RUN_FOLDER
from tests.security.files import swapped_steps
from tests.workflows.cli import killed_run
from tests.workflows.cli.test_results import SMALL, killed, nights
from workflows.cli import app
from workflows.local.execution import liveness, mutex
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import Event, NodeFinished
from workflows.template.benchmark import build_template

__all__ = ["SMALL"]

HOSTILE = b'{"prefix": ["sh", "-c", "touch /pwned"]}'
ARGUMENTS = killed_run.ARGUMENTS | {"dataplanes": "lab-iptables"}


class Attacker(threading.Thread):
    """Swaps every file of the results for a hostile one or a link, again and again, until the run has ended."""

    def __init__(self, results: Path, secret: Path) -> None:
        super().__init__()
        self.results, self.secret = results, secret
        self.ended = threading.Event()
        self.passes = threading.Semaphore(0)
        self.swapped = 0

    def run(self) -> None:
        while not self.ended.is_set():
            for file in [f for f in self.results.rglob("*") if f.is_file() or f.is_symlink()]:
                self.swap(file)
            self.passes.release()

    def swap(self, file: Path) -> None:
        new = file.with_name(f".new-{file.name}")
        try:
            if self.swapped % 3:
                new.write_bytes(HOSTILE)
            else:
                new.symlink_to(self.secret)
            new.rename(file)
            self.swapped += 1
        except OSError:  # the run has just deleted it or its folder
            pass

    def wait_for_a_pass(self) -> None:
        """Until everything that lies there now has been swapped."""
        while self.passes.acquire(blocking=False):
            pass
        for _ in range(2):
            assert self.passes.acquire(timeout=30)


def hostile_run(tmp_path: Path) -> tuple[list[dict[str, Any]], Attacker]:
    """A run whose results are swapped between every two steps; what its steps noted."""
    results, notes, secret = tmp_path / "results", tmp_path / "notes", tmp_path / "secret"
    results.mkdir()
    notes.mkdir()
    secret.write_text("secret")
    built: dict[str, Any] = build_template().to_dict()
    for template in built["spec"]["templates"]:
        if "script" in template and template["name"] != "validate":
            template["script"]["args"][-1] = f"{swapped_steps.__name__}:{template['name']}"
    attacker = Attacker(results, secret)

    def listen(event: Event) -> None:
        if isinstance(event, NodeFinished):
            attacker.wait_for_a_pass()

    env = {environment.ENVIRONMENT: "lab", environment.RESULTS: str(results), swapped_steps.NOTES: str(notes)}
    engine = Engine(
        built, ARGUMENTS, str(results), "run", listen, {**env, "PYTHONPATH": os.pathsep.join(sys.path)},
        locks=tmp_path, run_folder=RUN_FOLDER,
    )  # fmt: skip
    attacker.start()
    try:
        outcome = engine.run()
    finally:
        attacker.ended.set()
        attacker.join()
    assert outcome.phase == "Succeeded", outcome.message
    return [json.loads(file.read_text()) for file in notes.iterdir()], attacker


def test_swapped_results_change_nothing_that_runs(tmp_path: Path) -> None:
    notes, attacker = hostile_run(tmp_path)
    prepared = {note["visit"]: [note["left"]["prepared"]] for note in notes if note["step"] == "configure"}
    measured = [note for note in notes if note["step"] == "measure"]
    assert {note["visit"] for note in measured} == set(prepared)
    assert all(list(note["given"].values()) == prepared[note["visit"]] for note in measured)
    (collected,) = (note["given"] for note in notes if note["step"] == "collect")
    left = {digest for note in notes for digest in note["left"].values()}
    swapped = {hashlib.sha256(content).hexdigest() for content in (HOSTILE, b"secret")}
    assert left <= set(collected.values())
    assert not swapped & set(collected.values())
    assert attacker.swapped > len(collected)
    assert attacker.secret.read_text() == "secret"


@pytest.mark.parametrize("name", ["raw", "raw/run"])
def test_run_with_a_link_in_its_results_is_refused(tmp_path: Path, name: str) -> None:
    outside, results = tmp_path / "outside", tmp_path / "results"
    outside.mkdir()
    (results / name).parent.mkdir(parents=True)
    (results / name).symlink_to(outside)
    built = killed_run.workflow()
    env = {environment.ENVIRONMENT: "lab", environment.RESULTS: str(results)}
    with pytest.raises(Unsupported, match=f"{results}/raw/run can't be written: .*symbolic link"):
        Engine(built, killed_run.ARGUMENTS, str(results), "run", env=env, locks=tmp_path, run_folder="raw/run").run()
    assert list(outside.iterdir()) == []


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("target")


HOSTILE_FILES = pytest.mark.parametrize("make", [pipe, link, Path.mkdir], ids=["pipe", "link", "folder"])


@HOSTILE_FILES
def test_lock_file_of_the_machine_is_refused_in_a_sentence(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = mutex.lock_path("dataplane-benchmark", tmp_path)
    make(path)
    with pytest.raises(Unsupported, match=re.escape(f"lock file {path} can't be opened: ") + ".*; remove it"):
        Engine(killed_run.workflow(), ARGUMENTS, str(tmp_path / "results"), "run", locks=tmp_path).run()


def test_lock_file_with_a_second_name_is_not_written(tmp_path: Path) -> None:
    """Where the kernel lets users link to the files of others (fs.protected_hardlinks is 0)."""

    async def hold() -> None:
        async with mutex.hold(["m"], "run", lambda _: None, lambda: False, tmp_path) as held:
            assert held

    (tmp_path / "other").write_text("content")
    mutex.lock_path("m", tmp_path).hardlink_to(tmp_path / "other")
    asyncio.run(hold())
    assert (tmp_path / "other").read_text() == "content"


@HOSTILE_FILES
@pytest.mark.parametrize("name", [".lock", f"raw/run-1/{liveness.MARK}", "raw/run-1/visit-01/settle.json"])
def test_no_file_of_the_results_blocks_or_kills_a_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], name: str
) -> None:
    nights(tmp_path)
    killed(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    assert (
        app.main(["query", "--sql=select count(*) as n from runs where run_id like 'night%'", f"--results={tmp_path}"])
        == 0
    )
    assert capsys.readouterr().out == "n\n2\n"


def test_killed_run_with_a_huge_document_is_its_own_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path)
    killed(tmp_path)
    with (tmp_path / "raw/run-1/visit-01/settle.json").open("wb") as sparse:
        sparse.truncate(2**40)
    assert app.main(["query", "--sql=select run_id from runs order by all", f"--results={tmp_path}"]) == 0
    output = capsys.readouterr()
    assert output.out == "run_id\nnight-00\nnight-01\n"
    assert "Run run-1 was killed before its rows were collected, and they can't be: can't read" in output.err
    assert "it has more than 4,294,967,296 bytes" in output.err
