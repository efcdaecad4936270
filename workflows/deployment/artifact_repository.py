"""Argo's artifact repository, which receives raw documents and reports: a deployment stores the tables beside them."""

from dataclasses import dataclass
from typing import Any, Final

import yaml

from analysis.errors import Unsupported
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import CONFIGMAPS
from workflows.deployment.user_client import UserClient

OWN_CONFIG_MAP: Final = "artifact-repositories"
"""In a workflow's namespace: Argo prefers the key that its annotation names to the controller's configuration."""

DEFAULT_KEY: Final = "workflows.argoproj.io/default-artifact-repository"
_AMAZON: Final = "amazonaws.com"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An entry of a Secret in the workflow's namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class ArtifactRepository:
    """An S3 bucket of Argo's. `source`: the object that configures it. No keys: pods use their own cloud account."""

    bucket: str
    source: str
    endpoint: str = ""
    insecure: bool = False
    region: str = ""
    access: SecretKey | None = None
    secret: SecretKey | None = None

    @property
    def endpoint_url(self) -> str:
        """As S3 clients take it; empty: Amazon's own."""
        if not self.endpoint or self.endpoint.endswith((_AMAZON, _AMAZON + ".cn")):
            return ""
        return f"{'http' if self.insecure else 'https'}://{self.endpoint}"


def find_repository(
    client: UserClient, controller: Object | None, controller_namespace: str
) -> ArtifactRepository | None:
    """The S3 repository of workflows in the client's namespace; None: there is none, or it is not on S3.

    `controller`: the ConfigMap of Argo's controller, in `controller_namespace`.

    Raises:
        Unsupported: its configuration is no YAML, or names no bucket.
    """
    own = client.get(CONFIGMAPS, OWN_CONFIG_MAP, client.namespace)
    if own is not None:
        key = (own["metadata"].get("annotations") or {}).get(DEFAULT_KEY, "")
        text = (own.get("data") or {}).get(key)
        if text is not None:
            source = f"ConfigMap {client.namespace}/{OWN_CONFIG_MAP}, key {key}"
            return parse_repository(_loaded(text, source), source)
    if controller is None:
        return None
    source = f"ConfigMap {controller_namespace}/{controller['metadata']['name']}"
    return parse_repository(configuration(controller, source).get("artifactRepository"), source)


def configuration(controller: Object, source: str) -> dict[str, Any]:
    """A controller's configuration: its ConfigMap has a key for each part, or all of it below the key `config`."""
    data = controller.get("data") or {}
    parts = {name: _loaded(text, source) for name, text in data.items() if name != "config"}
    whole = _loaded(data.get("config", "{}"), source)
    return {**parts, **(whole if isinstance(whole, dict) else {})}


def parse_repository(found: Any, source: str) -> ArtifactRepository | None:  # noqa: ANN401 - somebody's YAML
    """The repository in a part of a ConfigMap; None where it is not on S3.

    Raises:
        Unsupported: it names no bucket.
    """
    s3 = found.get("s3") if isinstance(found, dict) else None
    if not isinstance(s3, dict):
        return None
    if not s3.get("bucket"):
        raise Unsupported(f"{source} describes an artifact repository on S3 without a bucket: give it one.")
    return ArtifactRepository(
        bucket=str(s3["bucket"]),
        source=source,
        endpoint=str(s3.get("endpoint") or ""),
        insecure=bool(s3.get("insecure")),
        region=str(s3.get("region") or ""),
        access=_key(s3.get("accessKeySecret")),
        secret=_key(s3.get("secretKeySecret")),
    )


def _key(found: Any) -> SecretKey | None:  # noqa: ANN401 - likewise
    if isinstance(found, dict) and found.get("name") and found.get("key"):
        return SecretKey(str(found["name"]), str(found["key"]))
    return None


def _loaded(text: str, source: str) -> Any:  # noqa: ANN401 - likewise
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unsupported(f"{source} is no YAML: {' '.join(str(error).split())}.") from None
