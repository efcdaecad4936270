"""A deployment as a kustomization upon the manifests, built by kubectl."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import yaml

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api.objects import Object
from steps.settings import environment
from steps.tasks.shared.pod import CONFIG_MAP, IMAGE, SECRET
from workflows.deployment.result_store import ResultStore
from workflows.deployment.user_client import POLICIES, POLICY_BINDINGS
from workflows.template import benchmark, guard, nightly
from workflows.template.pod_policy import EXECUTOR, EXECUTORS, IMAGES, PODS
from workflows.template.render import DIRECTORY

_IMAGE: Final = re.compile(
    r"(?P<name>(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9._-]+(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_OVERLAY: Final = "overlay"
_MANIFESTS: Final = "manifests"
_BUILD_TIMEOUT_S: Final = 120.0


_CLUSTER_SCOPED: Final = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", POLICIES.kind, POLICY_BINDINGS.kind}
)
"""Kinds without a namespace: kustomize knows the older ones only, and gives the others the one that it sets."""


@dataclass(frozen=True, slots=True)
class DeploymentValues:
    """Everything in which deployments differ.

    Attributes:
        settings: of the ConfigMap, by variable.
        store: its credentials, and the artifact repository to add.
        operator: whether the Tigera operator's namespaces exist.
        brings_namespace: whether the deployment creates the namespace.
        schedule: of the nightly run; empty: the default.
        images: that the benchmark's pods may run.
        executor: the repository of Argo's executor.
        admission: deny, warn or off: what becomes of pods that the policies refuse.
        guard: how many minutes pass between two of its looks; 0: it is left out.
    """

    namespace: str
    image: str
    settings: Mapping[str, str]
    store: ResultStore
    operator: bool = False
    brings_namespace: bool = False
    schedule: str = ""
    images: tuple[str, ...] = ()
    executor: str = EXECUTOR
    admission: str = "off"
    guard: int = guard.MINUTES_BETWEEN


def image_parts(image: str) -> dict[str, str]:
    """An image's reference as kustomize takes it.

    Raises:
        BadInput: it is invalid, or has neither a fixed tag nor a digest.
    """
    matched = _IMAGE.fullmatch(image)
    if matched is None:
        raise BadInput(f"IMAGE is {image!r}, which is no valid image: write NAME:TAG.")
    if matched["tag"] in {None, "latest"} and matched["digest"] is None:
        raise BadInput(
            f"IMAGE is {image!r}, which has no fixed version: write NAME:TAG, since each pod would pull "
            "another image, and two nights would not be comparable."
        )
    parts = {"newName": matched["name"], "newTag": matched["tag"], "digest": matched["digest"]}
    if matched["digest"]:
        parts["newTag"] = None
    return {"name": IMAGE.partition(":")[0], **{key: value for key, value in parts.items() if value}}


def files(values: DeploymentValues) -> dict[str, str]:
    """The kustomization's files, by name. It refers to the manifests in a directory beside it."""
    components = {
        "operator": values.operator,
        "namespace": values.brings_namespace,
        "artifacts": values.store.repository is not None,
        "admission": values.admission != "off",
        "guard": values.guard > 0,
    }
    kustomization: Object = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../{_MANIFESTS}/base"],
        "components": [f"../{_MANIFESTS}/{name}" for name, wanted in components.items() if wanted],
        "transformers": ["namespace.yaml"],
        "configurations": ["image.yaml"],
        "images": [image_parts(values.image)],
        "patches": [{"path": "settings.yaml"}, *_patches(values)],
    }
    transformer = yaml.safe_load((DIRECTORY / "namespace.yaml").read_text(encoding="utf-8"))
    transformer["metadata"]["namespace"] = values.namespace
    return {
        "kustomization.yaml": _dumped(kustomization),
        "namespace.yaml": _dumped(transformer),
        "image.yaml": (DIRECTORY / "image.yaml").read_text(encoding="utf-8"),
        "settings.yaml": _dumped(_config_map(CONFIG_MAP, values.settings)),
    }


def _patches(values: DeploymentValues) -> list[Object]:
    patches = []
    if values.brings_namespace:
        patches.append(_patch("Namespace", [_replace("/metadata/name", values.namespace)]))
    if values.schedule:
        patches.append(_patch("CronWorkflow", [_replace("/spec/schedules", [values.schedule])], nightly.NAME))
    if values.guard > 0:
        patches.append(_patch("CronJob", [_replace("/spec/schedule", guard.schedule(values.guard))], guard.CRON_JOB))
    if values.store.repository is not None:
        data = {"s3": _dumped({"s3": dict(values.store.repository)})}
        patches.append({"patch": _dumped(_config_map("dataplane-benchmark-artifacts", data))})
    if values.admission != "off":
        variables = {IMAGES: json.dumps(values.images), EXECUTORS: json.dumps(values.executor)}
        fill_in = [
            _replace(f"/spec/variables/{index}", {"name": name, "expression": expression})
            for index, (name, expression) in enumerate(variables.items())
        ]
        patches.append(_patch("ValidatingAdmissionPolicy", fill_in, PODS))
    if values.admission == "warn":
        warn = [_replace("/spec/validationActions", ["Warn", "Audit"])]
        patches.append(_patch("ValidatingAdmissionPolicyBinding", warn))
    if operations := _credentials(values.store):
        patches.append(_patch("WorkflowTemplate", operations, benchmark.NAME))
    return patches


def _credentials(store: ResultStore) -> list[Object]:
    """Point the steps that use the store at its Secrets. By index: kustomize does not merge these lists by name."""
    keys = dict(zip(environment.S3_KEYS, (store.access, store.secret), strict=True))
    return [
        _replace(f"/spec/templates/{place}/script/env/{index}/valueFrom/secretKeyRef", {**source, **asdict(key)})
        for place, template in enumerate(benchmark.build_template().to_dict()["spec"]["templates"])
        for index, variable in enumerate(template.get("script", {}).get("env", []))
        if (source := variable.get("valueFrom", {}).get("secretKeyRef", {})).get("name") == SECRET
        and (key := keys.get(variable["name"])) is not None
    ]


def build_objects(values: DeploymentValues) -> list[Object]:
    """The objects to apply.

    Raises:
        Unsupported: kubectl is missing, or can't build the kustomization, or not in time.
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
        for file, text in files(values).items():
            (overlay / file).write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                ["kubectl", "kustomize", str(overlay)],
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise Unsupported(
                f"kubectl did not build the kustomization within {_BUILD_TIMEOUT_S:g} s: see what `kubectl version "
                "--client` waits for, and deploy again."
            ) from None
    if done.returncode != 0:
        raise Unsupported(f"kubectl can't build the kustomization: {' '.join(done.stderr.split())}")
    objects: list[Object] = [found for found in yaml.safe_load_all(done.stdout) if found]
    for found in objects:
        if found["kind"] in _CLUSTER_SCOPED:
            found["metadata"].pop("namespace", None)
    return objects


def _config_map(name: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def _patch(kind: str, operations: list[Object], name: str = "") -> Object:
    target = {"kind": kind, **({"name": name} if name else {})}
    return {"target": target, "patch": _dumped(operations)}


def _replace(path: str, value: object) -> Object:
    return {"op": "replace", "path": path, "value": value}


def _dumped(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
