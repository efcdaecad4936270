import errno
import gzip
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.collect.run_rows import most_bytes
from tests.steps.builders import attempt, cut_short, damaged, placement, trial

DOCUMENT = documents.TrialDocument(
    trial=trial(), placement=placement(), mtu_bytes=None, attempts=(attempt(stderr="\\xff"),)
)


@pytest.mark.parametrize("name", ["0001.json.gz", "plain.json", "document"])
def test_raw_document_round_trip_is_atomic(tmp_path: Path, name: str) -> None:
    path = tmp_path / "deep" / "down" / name
    documents.write_document(path, DOCUMENT)
    documents.write_document(path, DOCUMENT)
    assert documents.read_document(path, documents.TrialDocument) == DOCUMENT
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_raw_document_bytes_are_deterministic(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        documents.write_document(tmp_path / name, DOCUMENT)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


@pytest.mark.parametrize("name", ["x.json.gz", "x.json"])
def test_truncated_or_damaged_raw_document_is_a_problem(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    documents.write_document(path, DOCUMENT)
    cut_short(path)
    with pytest.raises(Problem, match=rf"^{name} is (cut short or )?damaged"):
        documents.read_document(path, documents.TrialDocument)
    damaged(path)
    with pytest.raises(Problem, match=rf"^{name} is damaged: "):
        documents.read_document(path, documents.TrialDocument)
    path.write_bytes(b"")
    with pytest.raises(Problem):
        documents.read_document(path, documents.TrialDocument)


def test_missing_raw_document_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        documents.read_document(tmp_path / "x.json", documents.Prepare)


def test_file_instead_of_a_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="can't be written: File exists; choose another place"):
        documents.write_document(tmp_path / "file" / "x.json", DOCUMENT)


def test_full_disk_keeps_the_old_document(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    documents.write_document(path, documents.Prepare(visit=1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Beyond the limit a write fails with EFBIG, as it does with ENOSPC on a full disk; Python ignores the signal.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(Problem, match=f"can't be written: {os.strerror(errno.EFBIG)}; free some room"):
            documents.write_document(path, DOCUMENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert documents.read_document(path, documents.Prepare).visit == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_full_tmpfs_is_a_problem(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    program = (
        "import pathlib, sys; from steps import documents; from tests.steps.test_documents import DOCUMENT\n"
        "pathlib.Path(sys.argv[1], 'fill').write_bytes(b'x' * 4096)\n"
        "try: documents.write_document(pathlib.Path(sys.argv[1], 'x.json'), DOCUMENT)\n"
        "except documents.Problem as problem: print(problem)\n"
    )
    script = 'mount -t tmpfs -o size=8k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = in_own_mounts(script, str(tmp_path), program)
    assert "can't be written: No space left on device; free some room" in done


def in_own_mounts(script: str, *arguments: str) -> str:
    command = ["unshare", "-m", "sh", "-c", script, "sh", arguments[0], sys.executable, *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        pytest.param("x.json.gz", lambda: b" " * 20_000_000 + b"{}", "is damaged: it has more than 17 MB", id="gz"),
        pytest.param("x.json", lambda: b" " * 20_000_000, "is damaged: it has more than 17 MB", id="long"),
        pytest.param("x.json.gz", lambda: b'{"version":' * 200_000, "is damaged", id="deep"),
        pytest.param("x.json.gz", lambda: b"\xff\xfe{}", "is damaged", id="encoding"),
        pytest.param("x.json", lambda: b'{"visit": NaN}', "is damaged: visit", id="no-number"),
        pytest.param("x.json", lambda: b'{"visit": 1' + b"0" * 5_000 + b"}", "is damaged", id="many-digits"),
    ],
)
def test_raw_document_beyond_its_bounds_is_a_problem(
    tmp_path: Path, name: str, content: Callable[[], bytes], fault: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content(), mtime=0) if name.endswith(".gz") else content())
    with pytest.raises(Problem, match=rf"^{name} {fault}") as caught:
        documents.read_document(path, documents.Prepare)
    assert "\n" not in str(caught.value)


def test_gzip_bomb_uses_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b"0" * 100_000_000, compresslevel=1))
    program = (
        "import pathlib, sys; from benchmarks.large_stores.memory import peak_bytes; from steps import documents\n"
        "before = peak_bytes()\n"
        "try: documents.read_document(pathlib.Path(sys.argv[1]), documents.Prepare)\n"
        "except documents.Problem as problem: print(problem)\n"
        "print((peak_bytes() - before) // 1024**2)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    sentence, grown_mib = done.stdout.splitlines()
    assert sentence.startswith("x.json.gz is damaged: it has more than 17 MB")
    assert int(grown_mib) < 200


def test_raw_document_size_limit_of_long_trials() -> None:
    longest = most_bytes(trial(duration_s=86_400, streams=128), 600)
    assert most_bytes(trial(), 0) < 50_000_000 < longest < 300_000_000
