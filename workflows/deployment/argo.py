"""Which Argo Workflows a cluster has: version, watched namespace, configuration and the UI's address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from analysis.errors import Unsupported
from steps.cluster.kube.api.nodes import url_host
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import CONFIGMAPS, DEFINITIONS, NODES, SERVICES
from workflows.deployment.artifact_repository import configuration
from workflows.deployment.user_client import DEPLOYMENTS, UserClient
from workflows.template.benchmark import NAME
from workflows.template.pod_policy import EXECUTOR

OLDEST: Final = (3, 6)
NEWEST: Final = (4, 1)
KINDS: Final = ("workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults")
VERSION: Final = "v1alpha1"
_INSTALL: Final = "install 3.6 to 4.1: https://argo-workflows.readthedocs.io/en/latest/installation/"
_TAG_OF_IMAGE: Final = re.compile(r"(:[^:/@]*)?(@.*)?$")
"""Tag and digest of an image's reference."""

_TAG: Final = re.compile(r":v?(\d+)\.(\d+)(?:\.(\d+))?")
_CONTROLLER: Final = "workflow-controller"
_SERVER: Final = ("argocli", "argo-server")


@dataclass(frozen=True, slots=True)
class Ui:
    """The UI, by its address. `forward`: the port-forward command that it needs first; empty: none."""

    url: str
    forward: str = ""

    def form(self, namespace: str, filled_in: Mapping[str, str]) -> str:
        """The template's submit form with these fields filled in (Argo 3.7 and later; older ones open the template)."""
        given = "".join(f"&parameters[{quote(name)}]={quote(value)}" for name, value in filled_in.items() if value)
        return f"{self.url}/workflow-templates/{namespace}/{NAME}?sidePanel=submit{given}"

    def run(self, namespace: str, name: str) -> str:
        """The page of one run, with its nodes."""
        return f"{self.url}/workflows/{namespace}/{name}"

    def artifact(self, namespace: str, workflow: str, node: str, name: str) -> str:
        """One output artifact of a node, alone in the browser."""
        return f"{self.url}/artifact-files/{namespace}/workflows/{workflow}/{quote(node)}/outputs/{name}"


@dataclass(frozen=True, slots=True)
class Argo:
    """An installation of Argo Workflows.

    Attributes:
        version: such as (4, 1, 2); None: its image has no version.
        namespace: the controller's.
        watches: the only namespace whose workflows it runs; None: all.
        ui: None: there is no server.
        executor: the repository of the image that it adds to each step's pod.
    """

    version: tuple[int, ...] | None
    namespace: str
    watches: str | None
    config: Object | None
    ui: Ui | None
    executor: str = EXECUTOR
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As messages show it: `Argo Workflows 4.1.2`."""
        return f"Argo Workflows {'.'.join(map(str, self.version))}" if self.version else "Argo Workflows"


def find_argo(client: UserClient) -> Argo:
    """Find the cluster's Argo Workflows.

    Raises:
        Unsupported: it is absent or too old.
    """
    _check_kinds(client)
    deployments = client.list(DEPLOYMENTS)
    found = _with_image(deployments, _CONTROLLER)
    if found is None:
        note = "No Deployment of Argo's controller was found, so its version is not known; 3.6 to 4.1 are supported."
        return Argo(None, client.namespace, None, None, None, notes=(note,))
    namespace, arguments = found["metadata"]["namespace"], _arguments(found)
    version = _version(found)
    notes = [_untested(client.where, version)] if version is None or version[:2] > NEWEST else []
    if version is not None and version[:2] < OLDEST:
        raise Unsupported(
            f"{client.where} has Argo Workflows {'.'.join(map(str, version))}, which knows neither the schedules nor "
            "the mutexes of this workflow: upgrade it to 3.6 or later; 3.6 to 4.1 are tested."
        )
    watches = _option(arguments, "managed-namespace") or (namespace if "--namespaced" in arguments else None)
    config = client.get(CONFIGMAPS, _option(arguments, "configmap") or f"{_CONTROLLER}-configmap", namespace)
    server = _with_image(deployments, *_SERVER)
    ui = _ui(client, server) if server else None
    return Argo(version, namespace, watches, config, ui, _executor(arguments, config), tuple(notes))


def controller(client: UserClient) -> Object | None:
    """The Deployment of Argo's controller; None: there is none."""
    return _with_image(client.list(DEPLOYMENTS), _CONTROLLER)


def _executor(arguments: list[str], config: Object | None) -> str:
    """The repository of the executor's image; the controller's flag goes before its ConfigMap."""
    parts = configuration(config, f"ConfigMap {_CONTROLLER}-configmap") if config else {}
    own = parts.get("executor")
    image = _option(arguments, "executor-image") or str((own.get("image") if isinstance(own, dict) else "") or "")
    return _TAG_OF_IMAGE.sub("", image) or EXECUTOR


def _check_kinds(client: UserClient) -> None:
    for plural in KINDS:
        name = f"{plural}.argoproj.io"
        found = client.get(DEFINITIONS, name)
        if found is None:
            raise Unsupported(f"{client.where} has no Argo Workflows: its CRD {name} is missing; {_INSTALL}.")
        served = [each["name"] for each in found["spec"]["versions"] if each.get("served", True)]
        if VERSION not in served:
            raise Unsupported(
                f"{client.where} serves {name} as {', '.join(served)}, and {VERSION} is needed; {_INSTALL}."
            )


def _untested(where: str, version: tuple[int, ...] | None) -> str:
    if version is None:
        return f"The image of Argo Workflows on {where} has no version in its tag; 3.6 to 4.1 are supported."
    return f"{where} has Argo Workflows {'.'.join(map(str, version))}; only 3.6 to 4.1 are tested."


def _containers(deployment: Object) -> list[Object]:
    return list(deployment["spec"]["template"]["spec"]["containers"])


def _with_image(deployments: list[Object], *names: str) -> Object | None:
    """The first Deployment with an image of one of these names, from whatever registry."""
    for deployment in deployments:
        images = (_TAG_OF_IMAGE.sub("", container["image"]) for container in _containers(deployment))
        if any(image.rpartition("/")[2] in names for image in images):
            return deployment
    return None


def _version(deployment: Object) -> tuple[int, ...] | None:
    for container in _containers(deployment):
        if found := _TAG.search(container["image"].rpartition("/")[2]):
            return tuple(int(part) for part in found.groups() if part is not None)
    return None


def _arguments(deployment: Object) -> list[str]:
    return [a for c in _containers(deployment) for a in [*(c.get("command") or []), *(c.get("args") or [])]]


def _option(arguments: list[str], name: str) -> str:
    """The value of `--NAME=VALUE` or `--NAME VALUE`; empty if there is none."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
        if argument == f"--{name}" and index + 1 < len(arguments):
            return arguments[index + 1]
    return ""


def _ui(client: UserClient, server: Object) -> Ui | None:
    """The server's address for a browser: of a load balancer, a node port, or a forwarded port."""
    namespace, arguments = server["metadata"]["namespace"], _arguments(server)
    labels = server["spec"]["template"]["metadata"].get("labels", {})
    services = [
        s for s in client.list(SERVICES, namespace)
        if (chosen := s["spec"].get("selector")) and chosen.items() <= labels.items()
    ]  # fmt: skip
    if not services:
        return None
    service = services[0]
    scheme = "http" if _option(arguments, "secure") == "false" or "-e=false" in arguments else "https"
    below = "/" + _option(arguments, "base-href").strip("/")
    port = service["spec"]["ports"][0]
    for ingress in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []:
        host = url_host(ingress.get("hostname") or ingress.get("ip") or "")
        return Ui(f"{scheme}://{host}:{port['port']}{below}".rstrip("/"))
    if port.get("nodePort") and (address := _address(client)):
        return Ui(f"{scheme}://{url_host(address)}:{port['nodePort']}{below}".rstrip("/"))
    forward = f"{client.kubectl} -n {namespace} port-forward service/{service['metadata']['name']} "
    return Ui(f"{scheme}://localhost:{port['port']}{below}".rstrip("/"), f"{forward}{port['port']}")


def _address(client: UserClient) -> str:
    addresses = [a for node in client.list(NODES) for a in node.get("status", {}).get("addresses", [])]
    kinds = {a["type"]: a["address"] for a in reversed(addresses)}
    return str(kinds.get("ExternalIP") or kinds.get("InternalIP") or "")
