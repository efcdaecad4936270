"""The image's bill of materials: every locked package that is installed, reproducibly."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from analysis.errors import BadInput
from tests.ordinary import ROOT
from workflows.deployment.sbom import bill, debian_packages, installed, python_packages

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PACKAGES = sysconfig.get_path("purelib")


def test_bill_has_every_locked_package_with_its_hashes() -> None:
    components = list(python_packages(LOCK))
    assert len(components) == sum(line[:1].isalnum() and "==" in line for line in LOCK.splitlines())
    assert sum(len(component["properties"]) for component in components) == LOCK.count("--hash=sha256:")
    pyarrow = next(component for component in components if component["name"] == "pyarrow")
    assert pyarrow["purl"] == f"pkg:pypi/pyarrow@{pyarrow['version']}"


def test_bill_has_debian_packages() -> None:
    (found,) = debian_packages("iperf3\t3.18-2+deb13u1\tamd64\n")
    assert found["purl"] == "pkg:deb/debian/iperf3@3.18-2%2Bdeb13u1?arch=amd64"


def test_bill_is_reproducible_and_changes_with_its_contents() -> None:
    components = list(python_packages(LOCK))
    assert bill(reversed(components)) == bill(components)
    assert bill(components[1:])["serialNumber"] != bill(components)["serialNumber"]


def test_lock_file_without_packages_is_refused() -> None:
    with pytest.raises(BadInput, match="has no packages"):
        list(python_packages("# empty\n"))


def test_bill_lists_installed_packages_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workflows.deployment.sbom", "requirements.lock"]
    without_dpkg = {**os.environ, "PATH": ""}
    done = subprocess.run([*command, PACKAGES], cwd=ROOT, capture_output=True, check=True, env=without_dpkg)
    names = {component["name"] for component in json.loads(done.stdout)["components"]}
    assert "pyarrow" in names
    assert names <= installed(PACKAGES)
    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, check=True, env=without_dpkg)
    assert json.loads(done.stdout)["components"] == []
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env=without_dpkg).returncode == 2
