"""Links into Argo's UI."""

from collections.abc import Mapping
from urllib.parse import quote

from workflows.template.benchmark import NAME


def form_link(url: str, namespace: str, filled_in: Mapping[str, str]) -> str:
    """The template's submit form with these fields filled in (Argo 3.7 and later; older ones open the template)."""
    parameters = "".join(f"&parameters[{quote(name)}]={quote(value)}" for name, value in filled_in.items() if value)
    return f"{url}/workflow-templates/{namespace}/{NAME}?sidePanel=submit{parameters}"


def run_link(url: str, namespace: str, name: str) -> str:
    """One run, with its nodes."""
    return f"{url}/workflows/{namespace}/{name}"


def artifact_link(url: str, namespace: str, workflow: str, node: str, name: str) -> str:
    """One output artifact of a node, alone in the browser."""
    return f"{url}/artifact-files/{namespace}/workflows/{workflow}/{quote(node)}/outputs/{name}"
