"""What docs/extending.md has one write passes the checks of the project: what `make check` runs over it."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.ordinary import ROOT
from tests.steps.extensions.copy import GUIDE, Copy
from tests.steps.extensions.test_factor import add_field

SECTIONS = [section for section in re.split(r"^## ", GUIDE, flags=re.MULTILINE) if "New, `" in section]
WRITTEN = re.findall(r"^New, `(\S+\.py)`:", GUIDE, re.MULTILINE)


@pytest.fixture
def followed(copied: Copy) -> Copy:
    """The copy with all that the guide has files for, and the project's settings of its checks."""
    for section in SECTIONS:
        copied.follow(section.partition("\n")[0])
    add_field(copied)
    shutil.copy(ROOT / "pyproject.toml", copied.root)
    return copied


def test_examples_of_the_guide_pass_the_linter(followed: Copy) -> None:
    assert len(WRITTEN) > 4
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", *WRITTEN],
        cwd=followed.root,
        text=True,
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow(5)
def test_examples_of_the_guide_pass_the_type_checker(followed: Copy) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mypy", f"--cache-dir={ROOT / '.mypy_cache'}", *WRITTEN],
        cwd=followed.root,
        text=True,
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
