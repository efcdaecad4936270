"""The documents say what is there: targets, files and flags that they name exist."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)\b(?=[ `\n]|$)", "\n".join(_code(document.read_text()))))
    assert named <= TARGETS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_help_lists_every_target_in_a_line() -> None:
    # `make test` hands its MAKEFLAGS down, by which a make within it would tell of directories, too
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "help"], cwd=ROOT, env=own, capture_output=True, text=True, check=True)
    assert {line.split()[0] for line in done.stdout.splitlines()} == TARGETS
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_every_flag_of_the_makefile_is_one_of_the_command_line() -> None:
    found = re.search(r"^OPTIONS := (.*?)\nexport", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    names = found[1].replace("\\\n", " ").split()
    done = subprocess.run(
        [".venv/bin/python", "-m", "workflows", "run", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [name for name in names if f"--{name.lower().replace('_', '-')} " not in done.stdout] == []


def _code(text: str) -> list[str]:
    """Indented lines and inline code: what a reader would type."""
    return [*re.findall(r"^ {4}.*$", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]
