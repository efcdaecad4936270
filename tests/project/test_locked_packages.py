"""The lock files, which every supported Python installs."""

from collections import defaultdict

import pytest
from packaging.requirements import Requirement

from tests.ordinary import ROOT

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Of Debian 12 and 13, Ubuntu 24.04 and what follows it."""


def versions(lock: str) -> dict[str, set[str]]:
    """The versions of each package that these Pythons install."""
    found = defaultdict(set)
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if line and not line[0].isspace():
            package = Requirement(line.removesuffix("\\"))
            for python in PYTHONS:
                if package.marker is None or package.marker.evaluate({"python_full_version": f"{python}.9"}):
                    found[package.name].add(str(package.specifier))
    return found


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_python_installs_the_same_version_of_a_package(lock: str) -> None:
    """Or what passes under one Python would fail under another, as numpy's newer types did."""
    found = versions(lock)
    assert {"hera", "numpy", "duckdb"} <= found.keys()
    assert {name: several for name, several in found.items() if len(several) > 1} == {}


def test_development_packages_include_those_of_a_run() -> None:
    """So the tests try the versions that a run has."""
    developed = versions("requirements-dev.lock")
    assert {name: own for name, own in versions("requirements.lock").items() if developed[name] != own} == {}
