"""Imports that import-linter does not see: of modules that are loaded by name, so that no circle hides there."""

import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("analysis", "steps", "workflows")


def _loaders() -> list[str]:
    """The packages that load their own modules by name."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))
    loading = (path for path in found if re.search(r"\b__name__\b|\b__path__\b", path.read_text()))
    return sorted(".".join(path.parent.relative_to(ROOT).parts) for path in loading)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS)


def test_packages_that_load_their_modules_by_name_are_found() -> None:
    assert {"analysis.charts", "steps.cluster.lab.dataplanes", "steps.cluster.lab.factors"} < set(_loaders())


@pytest.mark.parametrize("package", _loaders())
def test_module_that_is_loaded_by_name_does_not_import_what_loads_it(package: str, graph: grimp.ImportGraph) -> None:
    chains = [graph.find_shortest_chain(module, package) for module in graph.find_children(package)]
    assert [chain for chain in chains if chain is not None] == []


def test_only_a_step_a_chart_a_factor_and_a_dataplane_are_loaded_by_name() -> None:
    sources = {path.relative_to(ROOT): path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert {str(path) for path, text in sources.items() if "import_module" in text} == {
        "analysis/charts/__init__.py",
        "steps/cluster/implementations.py",
        "steps/cluster/lab/factors/__init__.py",
        "steps/tasks/run.py",
    }
