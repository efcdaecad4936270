"""What stands in the way is said at once, with what would mend it."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steps.catalogue.cells import PlannedCell
from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import LAB
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster.lab import capabilities, preflight, sandbox
from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.dataplanes import traits
from steps.cluster.lab.network import topology
from steps.cluster.lab.network.programs import PACKAGES, package_of
from steps.domain import Visit
from tests.steps.lab.conftest import SandboxServer


@pytest.fixture
def settings() -> Settings:
    return Settings(
        profile="smoke",
        environment="lab",
        dataplanes=tuple(d.name for d in of_kind(LAB)),
        cells=(),
        rounds=1,
        duration_s=1,
        repetitions=1,
        idle_s=0.1,
        scales=(Scale(services=10),),
        seed=1,
        results="results",
    )


def test_preflight_outside_a_sandbox_lists_all_findings(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(sandbox, "is_inside", lambda: False)
    monkeypatch.setattr(capabilities, "is_privileged", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda program: None if program in {"nft", "iperf3"} else program)
    found = LabCluster().preflight(settings)
    stops = {f.reason: f.remedy for f in found if f.severity == "stop"}
    assert stops["iperf3, nft are not installed"] == "type `sudo apt-get install -y iperf3 nftables`"
    assert any("sandbox" in reason for reason in stops)
    assert {f.subject for f in found if f.severity == "skip"} == {
        n for n, t in traits().items() if t.mechanism.root_only
    }


@pytest.mark.parametrize(
    ("missing", "severity", "subjects", "sentence"),
    [
        ("nft", "stop", {"lab"}, "lab: nft is not installed. Type `sudo apt-get install -y nftables`."),
        (
            "bpftool",
            "skip",
            {"lab-ebpf", "lab-ebpf-dsr"},
            "lab-ebpf: bpftool is not installed. Type `sudo apt-get install -y bpftool`.",
        ),
        (
            "tc",
            "skip",
            {"lab-ebpf", "lab-ebpf-dsr"},
            "lab-ebpf: tc is not installed. Type `sudo apt-get install -y iproute2`.",
        ),
        (
            "iptables-nft-restore",
            "skip",
            {"lab-iptables"},
            "lab-iptables: iptables-nft-restore is not installed. Type `sudo apt-get install -y iptables`.",
        ),
    ],
)
def test_missing_program_affects_only_its_dataplanes(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, missing: str, severity: str, subjects: set[str], sentence: str
) -> None:
    monkeypatch.setattr(capabilities, "is_privileged", lambda: True)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr(shutil, "which", lambda program: None if program == missing else program)
    found = [f for f in LabCluster().preflight(settings) if "sandbox" not in f.reason]
    assert {(f.severity, f.subject) for f in found} == {(severity, subject) for subject in subjects}
    assert found[0].sentence == sentence


@pytest.mark.parametrize(
    ("printed", "stops"),
    [("iperf 3.9 (cJSON 1.7.13)", True), ("iperf 3.12", False), ("iperf 3.22+ x", False), (None, False), ("?", False)],
)
def test_iperf3_that_is_too_old_is_refused_before_a_run(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    printed: str | None,
    stops: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(preflight, "version_line", lambda _argv: printed)
    cells = (PlannedCell(topology="pod-to-pod", tool="iperf3", transport="udp", direction="forward"),)
    found = LabCluster().preflight(settings.model_copy(update={"cells": cells}))
    old = [f.sentence for f in found if "whose output lacks figures" in f.reason]
    sentence = (
        "lab: iperf3 3.9 is installed, whose output lacks figures that 3.12 and newer ones have. "
        "Install iperf3 3.12 or newer, which Debian 12 and Ubuntu 24.04 have."
    )
    assert old == ([sentence] if stops else [])


@pytest.mark.parametrize("missing", ["bpftool", "tc"])
def test_ordinary_user_needs_no_root_only_programs(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, missing: str
) -> None:
    monkeypatch.setattr(capabilities, "is_privileged", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda program: None if program == missing else program)
    found = [f for f in LabCluster().preflight(settings) if "sandbox" not in f.reason]
    assert {f.subject for f in found} == {"lab-ebpf", "lab-ebpf-dsr"}
    assert all("needs root" in f.reason for f in found)


@pytest.mark.lab
def test_preflight_command_prints_installable_packages(root_sandbox: SandboxServer) -> None:
    """The real one, in a sandbox, on a machine where no bpftool can be run: Ubuntu may have several in PATH."""
    del root_sandbox  # it skips this test where no root is
    there = {Path(folder, "bpftool").resolve() for folder in os.environ["PATH"].split(os.pathsep)}
    hidden = "".join(f"mount --bind /dev/null {path}; " for path in there if path.exists())
    argv = ["unshare", "--mount", "sh", "-ec", f'{hidden}exec "$@"', "sh", sys.executable, "-m", "workflows"]
    done = subprocess.run([*argv, "preflight"], text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    install = f"sudo apt-get install -y {package_of('bpftool')}"
    assert f"skip: lab-ebpf: bpftool is not installed. Type `{install}`." in lines
    assert lines[-1] == "A run can go on here."


def test_every_program_has_a_package() -> None:
    assert all(PACKAGES.values())


@pytest.mark.parametrize(
    ("system", "package"),
    [
        ({"ID": "debian"}, "bpftool"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "linux-tools-common linux-tools-$(uname -r)"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "linux-tools-common linux-tools-$(uname -r)"),
        ({}, "bpftool"),
    ],
)
def test_bpftool_is_named_by_the_package_that_the_system_has(
    system: dict[str, str], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    assert package_of("bpftool") == package
    assert package_of("nft") == "nftables"


def test_restore_outside_a_sandbox_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace there that has the name of one of the lab's is someone else's."""

    def raze() -> list[str]:
        raise AssertionError

    monkeypatch.setattr(sandbox, "is_inside", lambda: False)
    monkeypatch.setattr(topology, "remove_lab", raze)
    monkeypatch.setattr(topology, "present_namespaces", raze)
    lab = LabCluster()
    assert lab.restore() == []
    lab.clear(Visit(visit=1, round=1, dataplane="lab-iptables", trials=()))
    assert lab.snapshot() == {"namespaces": [], "built_for": None}


@pytest.mark.lab
@pytest.mark.parametrize(
    ("program", "refused", "severity", "subject", "reason"),
    [
        ("ip", "vxlan", "stop", "lab", "the kernel makes no vxlan links"),
        ("ip", "veth", "stop", "lab", "the kernel makes no veth links"),
        ("nft", "-f", "skip", "lab-nftables", "nft -f - in namespace preflight failed"),
        ("iptables-nft-restore", "--noflush", "skip", "lab-iptables", "iptables-nft-restore"),
        ("bpftool", "loadall", "skip", "lab-ebpf", "the kernel takes no eBPF program"),
        ("bpftool", "version", "skip", "lab-ebpf", "bpftool doesn't work"),
    ],
)
def test_missing_kernel_feature_is_named(
    root_sandbox: SandboxServer, program: str, refused: str, severity: str, subject: str, reason: str
) -> None:
    found: list[dict[str, Any]] = root_sandbox("preflight_without", program, refused)
    (finding,) = [f for f in found if f["subject"] == subject]
    assert finding["severity"] == severity
    assert reason in finding["reason"]
    assert "Operation not supported" in finding["reason"]
    assert finding["remedy"]
