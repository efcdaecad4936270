"""The documents say what is there: targets, files and flags that they name exist."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from analysis import charts
from analysis.metrics import METRICS
from analysis.report import reference
from analysis.store.schema import TABLES
from tests.analysis import synthetic
from workflows.cli import app
from workflows.template import metrics as argo_metrics

ROOT = Path(__file__).parents[2]
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


def test_questions_of_the_readme_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each `make query` line, as the Makefile would hand it to the command line."""
    synthetic.stored(tmp_path, *synthetic.nights(3, {}))
    asked = [
        dict(_assignments(line))
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("    make query ")
    ]
    assert {name for variables in asked for name in variables} == {"SQL", "QUESTION"}
    for variables in asked:
        flags = [f"--{name.lower()}={value}" for name, value in variables.items()]
        assert app.main(["query", *flags, f"--results={tmp_path}"]) == 0
        answer = capsys.readouterr().out
        assert "pod-to-service" in answer
        assert "gamma" in answer


def _assignments(line: str) -> list[tuple[str, str]]:
    words = [word.partition("=") for word in shlex.split(line)]
    return [(name, value) for name, sign, value in words if sign]


def _code(text: str) -> list[str]:
    """Indented lines and inline code: what a reader would type."""
    return [*re.findall(r"^ {4}.*$", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]


def test_reference_document_is_what_the_program_has() -> None:
    assert reference.FILE.read_text() == f"{reference.text()}\n", "type `make manifests`"


def test_reference_document_has_every_column_view_question_metric_and_chart() -> None:
    """By names from where each is defined, so that a generator that forgets a kind is found, too."""
    text = reference.FILE.read_text()
    expected = {f"| `{column.name}` |" for columns in TABLES.values() for column in columns}
    expected |= {
        f"| `{path.stem}` |" for folder in ("views", "queries") for path in (ROOT / "analysis" / folder).iterdir()
    }
    expected |= {f"| `{metric.name}` | {metric.title} |" for metric in METRICS}
    expected |= {f"| {chart.title} |" for chart in charts.catalogue()}
    assert sorted(name for name in expected if name not in text) == []


def test_every_column_view_question_and_node_field_has_a_description() -> None:
    assert [c.name for columns in TABLES.values() for c in columns if not c.description] == []
    empty = [line for line in reference.FILE.read_text().splitlines() if re.match(r"\| `\w+` \|\s*\|$", line)]
    assert empty == []


def test_metrics_of_argo_are_in_its_document() -> None:
    text = (ROOT / "docs/argo.md").read_text()
    named = {f"`argo_workflows_{gauge.name}`" for gauge in argo_metrics.build_metrics()}
    assert {name for name in named if name not in text} == set()
