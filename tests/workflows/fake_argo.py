"""A cluster with Argo Workflows on it, as the deployment's and the submission's code sees it."""

from typing import Any

from tests.steps.kube.fakes.api import Direct
from tests.steps.kube.fakes.store import Store
from workflows.deployment import argo
from workflows.deployment.user_client import UserClient

Object = dict[str, Any]
NAMESPACE = "argo"

KINDS = (
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("", "v1", "services", "Service"),
    ("", "v1", "nodes", "Node"),
    ("", "v1", "pods", "Pod"),
    ("apps", "v1", "deployments", "Deployment"),
    ("batch", "v1", "cronjobs", "CronJob"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
    *(
        ("admissionregistration.k8s.io", "v1", f"validatingadmissionpolic{end}", kind)
        for end, kind in (("ies", "ValidatingAdmissionPolicy"), ("ybindings", "ValidatingAdmissionPolicyBinding"))
    ),
    *(
        ("rbac.authorization.k8s.io", "v1", kind.lower() + "s", kind)
        for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ),
    *(
        ("argoproj.io", "v1alpha1", kind.lower() + "s", kind)
        for kind in ("Workflow", "WorkflowTemplate", "CronWorkflow")
    ),
)

REPOSITORY = """
s3:
  endpoint: minio.minio:9000
  bucket: artifacts
  insecure: true
  region: eu-west-1
  accessKeySecret: {name: s3-keys, key: user}
  secretKeySecret: {name: s3-keys, key: pass}
"""


def deployment(name: str, image: str, *args: str, namespace: str = NAMESPACE) -> Object:
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": name, "image": image, "args": list(args)}]},
    }
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": pod}}


def service(kind: str = "ClusterIP", **port: Any) -> Object:  # noqa: ANN401 - JSON
    spec = {"type": kind, "selector": {"app": "argo-server"}, "ports": [{"port": 2746, **port}]}
    return {"metadata": {"name": "argo-server", "namespace": NAMESPACE}, "spec": spec}


def cluster(version: str = "v4.1.2", repository: str | None = REPOSITORY, *controller: str) -> Store:
    """With Argo in namespace argo; `repository` is in its controller's ConfigMap."""
    store = Store()
    for kind in KINDS:
        store.serve(*kind)
    for plural in argo.KINDS:
        spec = {"versions": [{"name": "v1alpha1", "served": True}]}
        store.put("apiextensions.k8s.io", "customresourcedefinitions",
                  {"metadata": {"name": f"{plural}.argoproj.io"}, "spec": spec})  # fmt: skip
    for name in (NAMESPACE, "kube-system", "default"):
        store.put("", "namespaces", {"metadata": {"name": name}})
    data = {} if repository is None else {"artifactRepository": repository}
    told = {"metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE}, "data": data}
    store.put("", "configmaps", told)
    keys = {"user": "dXNlcg==", "pass": "cGFzcw==", "other": "b3RoZXI="}
    store.put("", "secrets", {"metadata": {"name": "s3-keys", "namespace": NAMESPACE}, "data": keys})
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}]
    store.put("", "nodes", {"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    image = f"quay.io/argoproj/workflow-controller:{version}"
    store.put("apps", "deployments", deployment("workflow-controller", image, *controller))
    store.put("apps", "deployments", deployment("argo-server", f"quay.io/argoproj/argocli:{version}", "--secure=false"))
    store.put("", "services", service())
    return store


def person(store: Store, namespace: str = NAMESPACE) -> UserClient:
    """Somebody at that cluster, without a socket between."""
    return UserClient(Direct(store), namespace)  # type: ignore[arg-type]
