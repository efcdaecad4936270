"""The iperf3 programs that tests of real measurements run with: the installed one, and others that are given."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

GIVEN: Final = "IPERF3_VERSIONS"
"""Paths of further iperf3 programs, with colons between, such as those of other releases."""


def programs() -> list[object]:
    """A parameter for each program, skipped with its reason where it is not there."""
    installed = shutil.which("iperf3")
    missing = pytest.mark.skip(reason="iperf3 is not installed")
    found: list[object] = [pytest.param(installed, id="installed", marks=() if installed else missing)]
    given = [path for path in os.environ.get(GIVEN, "").split(os.pathsep) if path]
    found += [pytest.param(path, id=Path(path).name) for path in given]
    if not given:
        others = pytest.mark.skip(reason=f"{GIVEN} names no other iperf3")
        found.append(pytest.param(None, id="others", marks=others))
    return found


def put_in_place(program: str, folder: Path, more: str = "") -> None:
    """Leave an `iperf3` in a folder that runs this program, with more arguments."""
    folder.mkdir(exist_ok=True)
    (folder / "iperf3").write_text(f'#!/bin/sh\nexec {program} "$@" {more}\n')
    (folder / "iperf3").chmod(0o755)
