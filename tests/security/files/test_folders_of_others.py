"""Root and results in a folder that another user controls: refused, or used with that user's rights."""

import os
import signal
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from analysis.console.commands import RESULTS_OWNER
from analysis.errors import Unsupported
from analysis.store.storage import trust
from analysis.store.storage.trust import find_fault
from steps.cluster.lab import sandbox
from tests.ordinary import NOBODY, ROOT
from workflows.cli import app

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another user, which needs root")
TRUSTED = frozenset({os.geteuid(), 0})


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
def test_folder_that_an_access_control_list_lets_others_write_is_found(tmp_path: Path) -> None:
    """Its group's bits are the list's mask, so that they don't tell who may write."""
    shared, none = folder(tmp_path / "shared"), 0xFFFFFFFF
    entries = [(1, 7, none), (2, 7, NOBODY), (4, 5, none), (16, 7, none), (32, 5, none)]
    try:
        os.setxattr(shared, trust.ACL, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries))
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error.strerror}")
    fault = find_fault(shared, TRUSTED)
    assert fault is not None
    assert (fault.path, fault.uid) == (shared, None)


@as_root
@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("uid", [0, NOBODY])
@pytest.mark.parametrize("kind", ["file", "device", "pipe", "link"])
def test_what_is_no_folder_is_refused_as_none(tmp_path: Path, kind: str, uid: int, below: str) -> None:
    """Whatever its owner and its mode are: `chmod` or another user's rights make no folder of it."""
    made = tmp_path / "made"
    if kind == "file":
        made.touch()
    elif kind == "pipe":
        os.mkfifo(made)
    elif kind == "link":
        made.symlink_to("/dev/null")
    else:
        os.mknod(made, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    if kind != "link":
        os.chown(made, uid, 0)
        made.chmod(0o666)
    no_folder = "/dev/null" if kind == "link" else made
    for as_owner in (False, True):
        with pytest.raises(Unsupported, match=f"^can't use {made}{below}: {no_folder} is no folder; choose another"):
            trust.use_folder(f"{made}{below}", as_owner=as_owner)


@as_root
def test_folder_with_the_sticky_bit_is_permitted(tmp_path: Path) -> None:
    sticky = folder(tmp_path / "sticky", 0o1777)
    assert find_fault(folder(sticky / "results"), TRUSTED) is None
    assert find_fault(sticky, TRUSTED) is None
    assert find_fault(folder(sticky / "theirs", uid=NOBODY), TRUSTED) is not None


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
    output = capsys.readouterr().err
    assert output == (
        f"root does not use {hostile}/results: {hostile} belongs to nobody, who could put a link to any other folder "
        "there. Add AS_OWNER=1 (--as-owner) to read and write it as nobody, or choose another RESULTS.\n"
    )
    assert list(hostile.iterdir()) == []


@as_root
def test_owner_of_the_installation_may_own_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where root runs a user's own checkout by sudo: its owner decides anyway what root runs there."""
    monkeypatch.setattr(trust, "_installer", lambda: NOBODY)
    trust.use_folder(str(folder(tmp_path / "results", uid=NOBODY)), as_owner=False)
    assert RESULTS_OWNER not in os.environ
    with pytest.raises(Unsupported, match="belongs to user 12345"):
        trust.use_folder(str(folder(tmp_path / "others", uid=12345)), as_owner=False)


@as_root
def test_temporary_files_of_root_are_not_put_where_another_user_can_swap_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder(tmp_path / "theirs", uid=NOBODY)))
    monkeypatch.setattr(tempfile, "tempdir", None)
    trust.use_folder(str(tmp_path / "results"), as_owner=False)
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == "/tmp"


@as_root
def test_folder_writable_by_others_is_refused_also_as_its_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
        "import os, sys; from analysis.store.storage.owner import Owner\n"
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
