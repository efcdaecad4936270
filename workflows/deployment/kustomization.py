"""What a deployment decides, as a kustomization upon the manifests, built by kubectl."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from analysis.errors import BadInput, Unsupported
from steps.settings import environment
from steps.tasks._pod import CONFIG_MAP, IMAGE, SECRET
from workflows.deployment.artifact_repository import SecretKey
from workflows.deployment.user_client import Object
from workflows.template import benchmark, nightly
from workflows.template.render import DIRECTORY

_IMAGE: Final = re.compile(
    r"(?P<name>(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9._-]+(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_OVERLAY: Final = "overlay"
_MANIFESTS: Final = "manifests"


@dataclass(frozen=True, slots=True)
class DeploymentValues:
    """Everything in which deployments differ.

    `settings`: of the ConfigMap, by variable. `access`, `secret`: the store's credentials where they are not in the
    Secret of the benchmark's own. `repository`: of Argo's artifacts, where the namespace has none. `operator`: whether
    its namespaces are there. `brings_namespace`: whether the namespace is the deployment's own.
    """

    namespace: str
    image: str
    settings: Mapping[str, str]
    access: SecretKey | None = None
    secret: SecretKey | None = None
    repository: Mapping[str, Any] | None = None
    operator: bool = False
    brings_namespace: bool = False
    schedule: str = ""


def image_parts(image: str) -> dict[str, str]:
    """An image's name as kustomize wants it.

    Raises:
        BadInput: it is none, or says no version.
    """
    matched = _IMAGE.fullmatch(image)
    if matched is None:
        raise BadInput(f"IMAGE is {image!r}, which is no image's name: write NAME:TAG.")
    if matched["tag"] in {None, "latest"} and matched["digest"] is None:
        raise BadInput(
            f"IMAGE is {image!r}, which says no version: write NAME:TAG with a fixed tag, since each pod would ask the "
            "registry for the latest, and two nights would not be comparable."
        )
    parts = {"newName": matched["name"], "newTag": matched["tag"], "digest": matched["digest"]}
    if matched["digest"]:
        parts["newTag"] = None
    return {"name": IMAGE.partition(":")[0], **{key: value for key, value in parts.items() if value}}


def files(decided: DeploymentValues) -> dict[str, str]:
    """The kustomization's files, by name. The manifests are expected in a directory beside it."""
    components = {
        "operator": decided.operator,
        "namespace": decided.brings_namespace,
        "artifacts": decided.repository is not None,
    }
    kustomization: Object = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../{_MANIFESTS}/base"],
        "components": [f"../{_MANIFESTS}/{name}" for name, wanted in components.items() if wanted],
        "transformers": ["namespace.yaml"],
        "configurations": ["image.yaml"],
        "images": [image_parts(decided.image)],
        "patches": [{"path": "settings.yaml"}, *_patches(decided)],
    }
    transformer = yaml.safe_load((DIRECTORY / "namespace.yaml").read_text(encoding="utf-8"))
    transformer["metadata"]["namespace"] = decided.namespace
    return {
        "kustomization.yaml": _dumped(kustomization),
        "namespace.yaml": _dumped(transformer),
        "image.yaml": (DIRECTORY / "image.yaml").read_text(encoding="utf-8"),
        "settings.yaml": _dumped(_config_map(CONFIG_MAP, decided.settings)),
    }


def _patches(decided: DeploymentValues) -> list[Object]:
    patches = []
    if decided.brings_namespace:
        patches.append(_patch("Namespace", [_replace("/metadata/name", decided.namespace)]))
    if decided.schedule:
        patches.append(_patch("CronWorkflow", [_replace("/spec/schedules", [decided.schedule])], nightly.NAME))
    if decided.repository is not None:
        data = {"s3": _dumped({"s3": dict(decided.repository)})}
        patches.append({"patch": _dumped(_config_map("dataplane-benchmark-artifacts", data))})
    if operations := _credentials(decided.access, decided.secret):
        patches.append(_patch("WorkflowTemplate", operations, benchmark.NAME))
    return patches


def _credentials(access: SecretKey | None, secret: SecretKey | None) -> list[Object]:
    """Point the steps that use the store at other Secrets. By place, since such lists are not merged by name."""
    keys = dict(zip(environment.S3_KEYS, (access, secret), strict=True))
    operations = []
    for place, template in enumerate(benchmark.build_template().to_dict()["spec"]["templates"]):
        for index, variable in enumerate(template.get("script", {}).get("env", [])):
            source = variable.get("valueFrom", {}).get("secretKeyRef", {})
            key = keys.get(variable["name"])
            if source.get("name") == SECRET and key is not None:
                path = f"/spec/templates/{place}/script/env/{index}/valueFrom/secretKeyRef"
                operations += [_replace(f"{path}/name", key.secret), _replace(f"{path}/key", key.key)]
    return operations


def build_objects(decided: DeploymentValues) -> list[Object]:
    """The objects to apply.

    Raises:
        Unsupported: kubectl is missing, or refuses the kustomization.
    """
    if shutil.which("kubectl") is None:
        raise Unsupported(
            "kubectl is not on PATH, and it is what builds the kustomization: install it, "
            "https://kubernetes.io/docs/tasks/tools/."
        )
    with tempfile.TemporaryDirectory(prefix="dataplane-benchmark-") as name:
        shutil.copytree(DIRECTORY, Path(name, _MANIFESTS))
        overlay = Path(name, _OVERLAY)
        overlay.mkdir()
        for file, text in files(decided).items():
            (overlay / file).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=False, timeout=120
        )
    if done.returncode != 0:
        raise Unsupported(f"kubectl can't build the kustomization: {' '.join(done.stderr.split())}")
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def _config_map(name: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def _patch(kind: str, operations: list[Object], name: str = "") -> Object:
    target = {"kind": kind, **({"name": name} if name else {})}
    return {"target": target, "patch": _dumped(operations)}


def _replace(path: str, value: object) -> Object:
    return {"op": "replace", "path": path, "value": value}


def _dumped(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
