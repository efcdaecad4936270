"""What others build upon: the kustomizations give whole, consistent objects, wherever and with whatever image."""

import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.cluster.kube.api.permissions import OPERATOR_NAMESPACES
from steps.tasks._pod import ACCOUNTS, CONFIG_MAP, IMAGE
from tests.ordinary import ROOT
from tests.workflows.test_render import complaints
from workflows.template import render

Object = dict[str, Any]
LABELS = {"app.kubernetes.io/name": "dataplane-benchmark", "dataplane-benchmark/part": "deployment"}


def kustomize(directory: Path) -> list[Object]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH, and it is what builds kustomizations")
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlay(tmp_path: Path, text: str, namespace: str = "bench") -> list[Object]:
    """A kustomization as docs/argo.md shows it, with the manifests beside it as a checkout would have them."""
    shutil.copytree(render.DIRECTORY, tmp_path / "manifests")
    shutil.copy(render.DIRECTORY / "image.yaml", tmp_path)
    transformer = (
        (render.DIRECTORY / "namespace.yaml").read_text().replace("namespace: argo", f"namespace: {namespace}")
    )
    (tmp_path / "namespace.yaml").write_text(transformer)
    (tmp_path / "kustomization.yaml").write_text(text)
    return kustomize(tmp_path)


def of(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def test_default_kustomization_is_complete_in_one_namespace() -> None:
    objects = kustomize(render.DIRECTORY)
    kinds = {o["kind"] for o in objects}
    assert kinds == {
        "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
        "ConfigMap", "WorkflowTemplate", "CronWorkflow",
    }  # fmt: skip
    assert all(o["metadata"]["labels"] == LABELS for o in objects)
    for kind, name in (("WorkflowTemplate", "dataplane-benchmark"), ("ConfigMap", CONFIG_MAP)):
        assert of(objects, kind, name)["metadata"]["namespace"] == "argo"
    subjects = [s for o in objects for s in o.get("subjects", [])]
    assert {(s["namespace"], s["name"]) for s in subjects} == {("argo", account) for account in ACCOUNTS.values()}
    assert {o["metadata"].get("namespace") for o in objects if o["kind"] == "Role"} == {
        "argo",
        "default",
        "kube-system",
    }


def test_kustomization_is_usable_as_a_base(tmp_path: Path) -> None:
    objects = overlay(
        tmp_path,
        """
        resources: [manifests/base]
        components: [manifests/operator, manifests/namespace, manifests/artifacts]
        transformers: [namespace.yaml]
        configurations: [image.yaml]
        images: [{name: dataplane-benchmark, newName: "registry:5000/x/bench", newTag: "9"}]
        patches:
          - target: {kind: Namespace}
            patch: '- {op: replace, path: /metadata/name, value: bench}'
          - target: {kind: CronWorkflow}
            patch: '- {op: replace, path: /spec/schedules, value: ["0 4 * * 1"]}'
        """.replace("\n        ", "\n"),
    )
    template = of(objects, "WorkflowTemplate", "dataplane-benchmark")
    scripts = [t["script"] for t in template["spec"]["templates"] if "script" in t]
    told = [v["value"] for s in scripts for v in s["env"] if v["name"] == "BENCHMARK_IMAGE"]
    assert {s["image"] for s in scripts} == set(told) == {"registry:5000/x/bench:9"}
    assert IMAGE not in yaml.safe_dump(objects)
    assert template["spec"]["artifactRepositoryRef"] == {"configMap": "dataplane-benchmark-artifacts", "key": "s3"}
    assert of(objects, "Namespace", "bench")["metadata"]["labels"] == LABELS
    assert of(objects, "CronWorkflow", "dataplane-benchmark-nightly")["spec"]["schedules"] == ["0 4 * * 1"]
    assert {o["metadata"].get("namespace") for o in objects} == {
        None, "bench", "default", "kube-system", *OPERATOR_NAMESPACES,
    }  # fmt: skip
    assert complaints(template) == []


def test_documented_kustomizations_can_be_built(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "argo.md").read_text()
    block = text.partition("    # kustomization.yaml\n")[2].partition("\n\n")[0]
    objects = overlay(tmp_path, textwrap.dedent(block))
    settings = of(objects, "ConfigMap", CONFIG_MAP)["data"]
    assert settings["BENCHMARK_RESULTS"] == "s3://dataplane-benchmark"
    assert "BENCHMARK_OUTSIDE" in settings
    template = of(objects, "WorkflowTemplate", "dataplane-benchmark")
    images = {t["script"]["image"] for t in template["spec"]["templates"] if "script" in t}
    assert images == {"registry.example/dataplane-benchmark:0.1.0"}
    assert of(objects, "CronWorkflow", "dataplane-benchmark-nightly")["spec"]["schedules"] == ["30 1 * * 1-5"]


def test_every_manifest_is_used_by_a_kustomization() -> None:
    used = {"kustomization.yaml", "image.yaml"}
    for file in render.DIRECTORY.rglob("kustomization.yaml"):
        document = yaml.safe_load(file.read_text())
        used |= {str((file.parent / name).relative_to(render.DIRECTORY))
                 for key in ("resources", "transformers") for name in document.get(key, [])}  # fmt: skip
    there = {str(file.relative_to(render.DIRECTORY)) for file in render.DIRECTORY.rglob("*.yaml")}
    assert {name for name in there if not name.endswith("kustomization.yaml")} <= used
