"""What may not be done is told from what isn't there: the missing right is named, and no module is to be loaded."""

import os
import subprocess
import sys

import pytest

from steps.cluster.lab import capabilities
from tests.steps.lab.conftest import SandboxServer

FULL = "CapEff:\t000001ffffffffff\n"


@pytest.mark.parametrize(
    ("status", "lacking"),
    [
        (FULL, []),
        ("CapEff:\t000001ffffffefff\n", ["CAP_NET_ADMIN"]),
        ("Name:\tx\nCapEff:\t00000000a80425fb\nCapBnd:\t000001ffffffffff\n", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]),
    ],
)
def test_missing_capabilities_are_named(status: str, lacking: list[str]) -> None:
    assert capabilities.missing_capabilities(status) == lacking
    output = capabilities.capability_remedy(lacking, root=True)
    assert "as root" not in output
    assert capabilities.capability_remedy(lacking, root=False) == f"run as root, or {output}"
    for name in lacking:
        assert f"--cap-add={name[4:]}" in output
    assert ("seccomp" in output) == (not lacking)


@pytest.mark.parametrize(
    ("output", "forbidden"),
    [
        ("RTNETLINK answers: Operation not permitted.", True),
        ("Could not fetch rule set generation id: Permission denied (you must be root)", True),
        ("netlink: Error: cache initialization failed: Operation not permitted", True),
        ("RTNETLINK answers: Operation not supported", False),
        ("Error: Unknown device type.", False),
        ("unshare: unshare failed: No space left on device", False),
    ],
)
def test_permission_error_is_separated_from_missing_support(output: str, forbidden: bool) -> None:  # noqa: FBT001
    assert capabilities.is_forbidden(output) is forbidden


@pytest.mark.parametrize(
    ("uid_map", "root"), [("0 0 4294967295", True), ("0 0 1", True), ("0 1000 1", False), ("0 100000 65536", False)]
)
def test_root_of_a_user_namespace_is_not_root(monkeypatch: pytest.MonkeyPatch, uid_map: str, *, root: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert capabilities.belongs_to_root(uid_map) is root
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert capabilities.belongs_to_root(uid_map) is False


@pytest.mark.lab
@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ("net_admin", "stop: lab: no links may be made: "),
        ("sys_admin", "skip: lab-ebpf: needs root with CAP_SYS_ADMIN to load eBPF programs, and this root lacks it."),
    ],
)
def test_preflight_without_a_capability_names_it(root_sandbox: SandboxServer, dropped: str, says: str) -> None:
    del root_sandbox  # it skips this test where no root is
    argv = ["setpriv", f"--bounding-set=-{dropped}", f"--inh-caps=-{dropped}", sys.executable, "-m", "workflows"]
    done = subprocess.run([*argv, "preflight"], text=True, capture_output=True, timeout=600, check=False)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(says)]
    name = dropped.upper()
    assert line.endswith(f"ive this process CAP_{name}, in a container by `--cap-add={name}`.")
    assert "modprobe" not in done.stdout
    assert "as root" not in done.stdout
