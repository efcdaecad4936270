"""Imports that import-linter does not see: of modules that are loaded by name, so that no circle hides there."""

import ast
import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
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


KUBE = ROOT / "steps" / "cluster" / "kube"
NAMING_CALICO = {
    "api/permissions.py",  # the rights of all plugins are one table, from which RBAC is rendered
    "cnis.py",  # the list of plugins
    "servers/server_findings.py",  # a remedy
    "workloads/mesh.py",  # annotations that limit a pod
    "workloads/policies/suspects.py",  # policies that may deny traffic, whoever applies them
}
"""All of the generic code that does; what another network plugin needs there is to come by `cni.py`."""


def _names_calico(path: Path) -> bool:
    """Whether its code does, without comments and docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return re.search("calico|felix|tigera", ast.unparse(tree), re.IGNORECASE) is not None


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_generic_kubernetes_code_names_calico_in_no_further_module() -> None:
    generic = (path for path in KUBE.rglob("*.py") if not path.is_relative_to(KUBE / "plugins"))
    assert {path.relative_to(KUBE).as_posix() for path in generic if _names_calico(path)} == NAMING_CALICO
