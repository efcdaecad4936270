"""Argo Workflows on the cluster: versions, watched namespaces and the address of its UI."""

from typing import Any

import pytest

from analysis.errors import Unsupported
from tests.workflows.deployment.deploying import deploy_to
from tests.workflows.fake_argo import NAMESPACE, cluster, service
from workflows.deployment.namespaces import OWN

Object = dict[str, Any]


@pytest.mark.parametrize("installed", ["v3.5.11", "v3.4.0", "v2.12.0"])
def test_too_old_argo_version_is_refused(installed: str) -> None:
    with pytest.raises(Unsupported, match=r"upgrade it to 3\.6 or later"):
        deploy_to(cluster(installed))


@pytest.mark.parametrize(
    ("installed", "note"), [("v4.2.0", "only 3.6 to 4.1 are tested"), ("latest", "has no version in its tag")]
)
def test_untested_argo_version_is_noted(installed: str, note: str) -> None:
    assert note in deploy_to(cluster(installed))


@pytest.mark.parametrize("installed", ["v3.6.0", "v3.7.16", "v4.0.8", "v4.1.2"])
def test_tested_argo_version_gives_no_note(installed: str) -> None:
    assert "Note:" not in deploy_to(cluster(installed), OWN)


def test_cluster_without_argo_is_refused() -> None:
    store = cluster()
    store.take("apiextensions.k8s.io", "customresourcedefinitions", "", "cronworkflows.argoproj.io")
    with pytest.raises(Unsupported, match=r"CRD cronworkflows.argoproj.io is missing; install 3.6 to 4.1"):
        deploy_to(store)
    assert store.find("argoproj.io", "workflowtemplates", NAMESPACE, "dataplane-benchmark") is None


def test_unserved_argo_api_version_is_refused() -> None:
    store = cluster()
    spec = {"versions": [{"name": "v1", "served": True}, {"name": "v1alpha1", "served": False}]}
    store.put("apiextensions.k8s.io", "customresourcedefinitions",
              {"metadata": {"name": "workflows.argoproj.io"}, "spec": spec})  # fmt: skip
    with pytest.raises(Unsupported, match=r"serves workflows\.argoproj\.io as v1, and v1alpha1 is needed"):
        deploy_to(store)


@pytest.mark.parametrize("argument", ["--namespaced", "--managed-namespace=argo"])
def test_controller_of_another_namespace_is_named(argument: str) -> None:
    store = cluster("v4.1.2", None, argument)
    with pytest.raises(Unsupported, match=r"watches namespace argo only, not bench.*NAMESPACE=argo"):
        deploy_to(store, namespace="bench", results="s3://b")


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (service("NodePort", nodePort=30746), "http://10.0.0.1:30746/workflow-templates"),
        (
            service() | {"status": {"loadBalancer": {"ingress": [{"hostname": "argo.example"}]}}},
            "http://argo.example:2746/",
        ),
        (
            service() | {"status": {"loadBalancer": {"ingress": [{"ip": "fd00::9"}]}}},
            "http://[fd00::9]:2746/",
        ),
    ],
)
def test_form_link_of_the_argo_server(found: Object, url: str) -> None:
    store = cluster()
    store.put("", "services", found)
    output = deploy_to(store)
    assert url in output
    assert "port-forward" not in output


def test_form_link_on_ipv6_nodes_has_its_address_in_brackets() -> None:
    store = cluster()
    addresses = [{"type": "InternalIP", "address": "fd00::11"}]
    store.put("", "nodes", {"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    store.put("", "services", service("NodePort", nodePort=30746))
    assert "http://[fd00::11]:30746/workflow-templates" in deploy_to(store)


def test_form_link_needs_an_argo_server() -> None:
    store = cluster()
    store.take("apps", "deployments", NAMESPACE, "argo-server")
    assert "no server of Argo's was found" in deploy_to(store)
