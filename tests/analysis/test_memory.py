"""A limit of memory that is too low is known before a library crashes under it."""

import os
import resource
import subprocess
import sys

import pytest

from analysis import memory
from analysis.errors import Unsupported
from analysis.store.storage.storage_errors import resource_error


@pytest.mark.parametrize(
    ("limit", "report", "query"),
    [(resource.RLIM_INFINITY, True, True), (70 * 2**30, True, True), (8 * 2**30, False, True), (2**30, False, False)],
)
def test_memory_limit_too_low(
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    report: bool,  # noqa: FBT001
    query: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert (memory.shortage() is None, memory.memory_limit_warning() is None) == (report, query)
    if not report:
        with pytest.raises(Unsupported, match=rf"ulimit -v {limit // 1024}\).* type `ulimit -v unlimited`\.$"):
            memory.require()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(24, "Too many open files", "/x"), "/x: too many files are open for this process; allow more by"),
        (MemoryError(), "Memory ran out"),
        (RuntimeError("can't start new thread"), "No more threads can be started"),
        (ImportError("/x.so: failed to map segment from shared object"), "Memory ran out"),
    ],
)
def test_out_of_memory_error_names_a_remedy(error: Exception, sentence: str) -> None:
    found = resource_error(error)
    assert found is not None
    assert found.startswith(sentence)
    assert "ulimit" in found


def test_memory_error_only_is_translated() -> None:
    for error in (OSError(2, "No such file"), RuntimeError("a bug"), ImportError("no module named x")):
        assert resource_error(error) is None


@pytest.mark.parametrize(("limit", "pool"), [(4 * 2**30, "system"), (resource.RLIM_INFINITY, None)])
def test_under_a_limit_arrow_reserves_no_addresses_that_threads_need(limit: int, pool: str | None) -> None:
    lines = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, resource.RLIM_INFINITY))",
        "from workflows.cli.app import main; main(['plan', '--profile', 'smoke'])",
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)",
    )
    own = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], env=own, capture_output=True, text=True, check=True)
    found = done.stdout.splitlines()[-1]
    assert found == pool if pool else found != "system"
