"""Results in a folder that others control: what root runs, reads and writes there."""

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import Unsupported
from analysis.store.trust import find_fault
from steps.cluster.lab import sandbox
from steps.settings import environment
from steps.tasks._step import RUN_FOLDER
from tests.ordinary import NOBODY, ROOT
from tests.security import swapped_steps
from tests.workflows import killed_run
from tests.workflows.test_results import SMALL, killed, nights
from workflows.cli import app
from workflows.local.execution import liveness, mutex
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import Event, NodeFinished
from workflows.template.benchmark import build_template

__all__ = ["SMALL"]

HOSTILE = b'{"prefix": ["sh", "-c", "touch /pwned"]}'
ARGUMENTS = killed_run.ARGUMENTS | {"dataplanes": "lab-iptables"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another user, which needs root")
TRUSTED = frozenset({os.geteuid(), 0})


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
    prepared = {note["visit"]: list(note["left"].values()) for note in notes if note["step"] == "prepare"}
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
    said = capsys.readouterr()
    assert said.out == "run_id\nnight-00\nnight-01\n"
    assert "Run run-1 was killed before its rows were collected, and they can't be: can't read" in said.err
    assert "it has more than 4,294,967,296 bytes" in said.err


def folder(path: Path, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


@as_root
@pytest.mark.parametrize(
    ("mode", "uid", "gid", "who"),
    [
        (0o755, 0, 0, None),
        (0o775, 0, 0, None),
        (0o755, NOBODY, 0, "nobody"),
        (0o700, 12345, 0, "user 12345"),
        (0o777, 0, 0, "everyone"),
        (0o775, 0, NOBODY, "group nogroup"),
        (0o775, 0, 12345, "group 12345"),
        (0o2770, 0, NOBODY, "group nogroup"),
    ],
)
@pytest.mark.parametrize("below", [True, False], ids=["parent", "results"])
def test_folder_that_others_own_or_may_write_is_found(
    tmp_path: Path, mode: int, uid: int, gid: int, who: str | None, *, below: bool
) -> None:
    hostile = folder(tmp_path / "hostile", mode, uid, gid)
    results = folder(hostile / "results") if below else hostile
    fault = find_fault(results, TRUSTED)
    assert (fault and (fault.path, fault.who)) == (who and (hostile, who))


@as_root
def test_sticky_folder_is_permitted_above_the_results_only(tmp_path: Path) -> None:
    sticky = folder(tmp_path / "sticky", 0o1777)
    assert find_fault(folder(sticky / "results"), TRUSTED) is None
    fault = find_fault(sticky, TRUSTED)
    assert fault is not None
    assert fault.who == "everyone"


@as_root
def test_links_in_the_path_are_checked_with_what_they_lead_through(tmp_path: Path) -> None:
    sticky = folder(tmp_path / "sticky", 0o1777)
    good, hostile = folder(tmp_path / "good"), folder(tmp_path / "hostile", uid=NOBODY)
    folder(hostile / "results")
    for name, target in (("relative", "../good"), ("absolute", str(good)), ("loop", "loop")):
        (sticky / name).symlink_to(target)
    assert find_fault(sticky / "relative", TRUSTED) is None
    assert find_fault(sticky / "absolute", TRUSTED) is None
    with pytest.raises(OSError, match="too many symbolic links"):
        find_fault(sticky / "loop", TRUSTED)
    (tmp_path / "through").symlink_to("hostile/results")
    through = find_fault(tmp_path / "through", TRUSTED)
    assert through is not None
    assert through.path == hostile
    os.chown(sticky / "absolute", NOBODY, NOBODY, follow_symlinks=False)
    swappable = find_fault(sticky / "absolute", TRUSTED)
    assert swappable is not None
    assert (swappable.path, swappable.who) == (sticky / "absolute", "nobody")


@as_root
def test_missing_folders_are_made_only_where_no_other_user_can(tmp_path: Path) -> None:
    assert find_fault(tmp_path / "a/b", TRUSTED) is None
    assert not (tmp_path / "a").exists()
    assert find_fault(tmp_path / "a/b", TRUSTED, create=True) is None
    assert (tmp_path / "a/b").is_dir()
    hostile = folder(tmp_path / "hostile", uid=NOBODY)
    assert find_fault(hostile / "results", TRUSTED, create=True) is not None
    assert not (hostile / "results").exists()


@as_root
@pytest.mark.parametrize(
    "argv", [["run", "--profile=smoke"], ["report"], ["query", "--sql=select 1"], ["query"], ["shell"]]
)
def test_verbs_refuse_a_folder_of_another_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    monkeypatch.setattr(sandbox, "start_in_sandbox", lambda *_, **__: pytest.fail("the lab was started"))
    hostile = folder(tmp_path / "hostile", uid=NOBODY)
    assert app.main([*argv, f"--results={hostile}/results"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"root does not use {hostile}/results: {hostile} belongs to nobody, who could put a link to any other folder "
        "there. Add AS_OWNER=1 (--as-owner) to read and write it as nobody, or choose another RESULTS.\n"
    )
    assert list(hostile.iterdir()) == []


@as_root
def test_as_owner_does_not_help_where_others_may_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = folder(tmp_path / "shared", 0o777)
    assert app.main(["query", "--sql=select 1", f"--results={shared}", "--as-owner"]) == 2
    assert f"{shared} is writable by everyone" in capsys.readouterr().err


WRITER = """
import sys
from pathlib import Path
from analysis.console.commands import report_command
from workflows.cli.opened_store import open_store
results, swapped = sys.argv[1], sys.argv[2:]
store = open_store(results, as_owner=True, create=True)
if swapped:
    Path(results).symlink_to(swapped[0])
for name in ("raw/run/prepare.json", "runs/x.parquet"):
    store.files.put(name, b"x")
with store.files.lock():
    print(store.files.read("raw/run/prepare.json").decode(), store.files.list("runs")[0].name)
print(report_command("/results"))
store.files.delete("runs/x.parquet")
"""


def write_as_owner(results: Path, *swapped: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITER, str(results), *map(str, swapped)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """Results of another user, who reaches them."""
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_mode & 0o001 == 0:
            above.chmod(above.stat().st_mode | 0o011)
    return folder(tmp_path / "owned", uid=NOBODY, gid=NOBODY)


@as_root
def test_root_as_owner_writes_files_of_the_owner(owned: Path) -> None:
    done = write_as_owner(owned / "results")
    assert (done.returncode, done.stdout) == (0, "x x.parquet\nmake report RESULTS=/results AS_OWNER=1\n"), done.stderr
    made = [owned / "results", *(owned / "results").rglob("*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(NOBODY, NOBODY)}
    assert sorted(path.name for path in made if path.is_file()) == [".lock", "prepare.json"]


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_root_as_owner_writes_nothing_that_the_owner_could_not(owned: Path, tmp_path: Path, mode: int) -> None:
    private = folder(tmp_path / "private", mode)
    done = write_as_owner(owned / "results", private)
    assert "Unsupported: can't write" in done.stderr
    assert "permission is refused" in done.stderr
    assert list(private.iterdir()) == []


@as_root
def test_root_as_owner_reads_nothing_that_the_owner_could_not(owned: Path, tmp_path: Path) -> None:
    folder(tmp_path / "private")
    private = folder(tmp_path / "private/runs", 0o700)
    (private / "night.parquet").write_bytes(b"PAR1 secret")
    (owned / "results").symlink_to(tmp_path / "private")
    script = "import sys; from workflows.cli.app import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "query", "--sql=select * from runs", f"--results={owned}/results", "--as-owner"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "secret" not in done.stdout + done.stderr
    assert "permission is refused" in done.stderr
    assert "Traceback" not in done.stderr


@as_root
def test_process_of_the_owner_can_not_signal_root_as_owner(owned: Path) -> None:
    """Acting as the owner concerns files alone: the owner could else end or trace the process."""
    script = (
        "import os, sys; from analysis.store.owner import Owner\n"
        f"with Owner({NOBODY}, {NOBODY}).acting():\n"
        "    print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        kill = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", "sh", "-c", f"kill -{signal.SIGKILL:d} {pid}"]
        assert subprocess.run(kill, capture_output=True, check=False).returncode != 0
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert owned.exists()
