"""The kustomizations: complete, consistent objects for every namespace, image and overlay."""

import io
import json
import os
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.console.terminal import Terminal
from analysis.errors import Unsupported
from steps.cluster.kube.api.permissions import OPERATOR_NAMESPACES
from steps.tasks.shared.pod import ACCOUNTS, CONFIG_MAP, IMAGE
from tests.ordinary import ROOT
from tests.workflows.deployment.deploying import LABELS, build_without_kubectl
from tests.workflows.fake_argo import cluster, person
from tests.workflows.template.test_render import complaints
from workflows.deployment import kustomization
from workflows.deployment.artifact_repository import SecretKey
from workflows.deployment.deploy import deploy
from workflows.deployment.kustomization import DeploymentValues
from workflows.deployment.namespaces import OWN
from workflows.deployment.result_store import ResultStore
from workflows.flags.deploy import DeployFlags
from workflows.template import pod_policy, render

Object = dict[str, Any]


def require_kubectl() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH, and it is what builds kustomizations")


def kustomize(directory: Path) -> list[Object]:
    require_kubectl()
    done = subprocess.run(["kubectl", "kustomize", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlay(tmp_path: Path, text: str, namespace: str = "bench") -> list[Object]:
    """A kustomization as docs/argo.md shows it, with the manifests beside it as a checkout would have them."""
    shutil.copytree(render.DIRECTORY, tmp_path / "manifests")
    shutil.copy(render.DIRECTORY / "image.yaml", tmp_path)
    transformer = (render.DIRECTORY / "namespace.yaml").read_text()
    (tmp_path / "namespace.yaml").write_text(transformer.replace(f"namespace: {OWN}", f"namespace: {namespace}"))
    (tmp_path / "kustomization.yaml").write_text(text)
    return kustomize(tmp_path)


def test_kubectl_that_hangs_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nexec sleep 30\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(kustomization, "_BUILD_TIMEOUT_S", 0.2)
    values = DeploymentValues(namespace="bench", image="registry/x:1", settings={}, store=ResultStore("s3://b"))
    with pytest.raises(Unsupported, match=r"kubectl did not build the kustomization within 0\.2 s: "):
        kustomization.build_objects(values)


def of(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def test_default_kustomization_is_complete_in_one_namespace() -> None:
    objects = kustomize(render.DIRECTORY)
    kinds = {o["kind"] for o in objects}
    assert kinds == {
        "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
        "ConfigMap", "WorkflowTemplate", "CronWorkflow", "CronJob", "Namespace",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip
    assert all(o["metadata"]["labels"].items() >= LABELS.items() for o in objects)
    for kind, name in (("WorkflowTemplate", "dataplane-benchmark"), ("ConfigMap", CONFIG_MAP)):
        assert of(objects, kind, name)["metadata"]["namespace"] == OWN
    subjects = [s for o in objects for s in o.get("subjects", [])]
    assert {(s["namespace"], s["name"]) for s in subjects} == {(OWN, account) for account in ACCOUNTS.values()}
    assert {o["metadata"].get("namespace") for o in objects if o["kind"] == "Role"} == {
        OWN,
        "default",
        "kube-system",
    }


def test_kustomization_is_usable_as_a_base(tmp_path: Path) -> None:
    objects = overlay(
        tmp_path,
        """
        resources: [manifests/base]
        components: [manifests/operator, manifests/namespace, manifests/artifacts, manifests/guard]
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
    images = [v["value"] for s in scripts for v in s["env"] if v["name"] == "BENCHMARK_IMAGE"]
    assert {s["image"] for s in scripts} == set(images) == {"registry:5000/x/bench:9"}
    guard = of(objects, "CronJob", "dataplane-benchmark-guard")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert guard["containers"][0]["image"] == "registry:5000/x/bench:9"
    assert IMAGE not in yaml.safe_dump(objects)
    assert template["spec"]["artifactRepositoryRef"] == {"configMap": "dataplane-benchmark-artifacts", "key": "s3"}
    assert of(objects, "Namespace", "bench")["metadata"]["labels"].items() >= LABELS.items()
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


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("bench:1", {"newName": "bench", "newTag": "1"}),
        ("registry:5000/team/bench:v1.2", {"newName": "registry:5000/team/bench", "newTag": "v1.2"}),
        ("ghcr.io/x/y@sha256:" + "a" * 64, {"newName": "ghcr.io/x/y", "digest": "sha256:" + "a" * 64}),
    ],
)
def test_image_reference_is_parsed(image: str, parts: dict[str, str]) -> None:
    assert kustomization.image_parts(image) == {"name": "dataplane-benchmark", **parts}


def test_kubectl_builds_the_deployed_kustomization() -> None:
    require_kubectl()
    user, password = SecretKey("keys", "user"), SecretKey("keys", "pass")
    store = ResultStore("s3://b", access=user, secret=password, repository={"bucket": "b", "endpoint": "e"})
    values = DeploymentValues(
        "bench", "reg:5000/bench:9", {"BENCHMARK_RESULTS": "s3://b"}, store, operator=True, brings_namespace=True,
        schedule="1 2 * * *", images=("reg:5000/bench:9", "reg:5000/bench:8"), executor="mirror/argoexec",
        admission="warn",
    )  # fmt: skip
    built = {(o["kind"], o["metadata"]["name"]): o for o in kustomization.build_objects(values)}
    template = built["WorkflowTemplate", "dataplane-benchmark"]
    references = [
        (v["name"], v["valueFrom"]["secretKeyRef"]["name"], v["valueFrom"]["secretKeyRef"]["key"])
        for t in template["spec"]["templates"] for v in t.get("script", {}).get("env", [])
        if "secretKeyRef" in v.get("valueFrom", {})
    ]  # fmt: skip
    assert set(references) >= {("AWS_ACCESS_KEY_ID", "keys", "user"), ("AWS_SECRET_ACCESS_KEY", "keys", "pass")}
    assert len(references) >= 4
    images = {t["script"]["image"] for t in template["spec"]["templates"] if "script" in t}
    assert images == {"reg:5000/bench:9"}
    data = built["ConfigMap", "dataplane-benchmark"]["data"]
    assert (data["BENCHMARK_RESULTS"], data["BENCHMARK_ENVIRONMENT"]) == ("s3://b", "cluster")
    assert yaml.safe_load(built["ConfigMap", "dataplane-benchmark-artifacts"]["data"]["s3"]) == {
        "s3": {"bucket": "b", "endpoint": "e"}
    }
    assert built["CronWorkflow", "dataplane-benchmark-nightly"]["spec"]["schedules"] == ["1 2 * * *"]
    assert built["Namespace", "bench"]["metadata"]["labels"].items() >= LABELS.items()
    policy = built["ValidatingAdmissionPolicy", pod_policy.PODS]
    assert "namespace" not in policy["metadata"]
    assert [(v["name"], json.loads(v["expression"])) for v in policy["spec"]["variables"][:2]] == [
        (pod_policy.IMAGES, ["reg:5000/bench:9", "reg:5000/bench:8"]), (pod_policy.EXECUTORS, "mirror/argoexec"),
    ]  # fmt: skip
    binding = built["ValidatingAdmissionPolicyBinding", pod_policy.PODS]
    assert binding["spec"]["validationActions"] == ["Warn", "Audit"]
    places = {o["metadata"].get("namespace") for o in build_without_kubectl(values)}
    assert places == {"bench", None, "default", "kube-system"}


def test_missing_kubectl_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match="kubectl is not on PATH"):
        deploy(DeployFlags(image="bench:1"), Terminal(file=io.StringIO()), person(cluster()))
