"""One API server for each test of the contract: the fake, and a real one if there is one."""

import os
import secrets
from collections.abc import Iterator

import pytest
import urllib3

from steps.cluster.kube.api.connect import find_access
from steps.cluster.kube.api.transport import ApiTransport
from tests.steps.kube.api_contract.server import CONTEXT, KINDS, Server
from tests.steps.kube.fakes.api import NAMESPACE, Api
from tests.steps.kube.fakes.store import Store


@pytest.fixture(scope="module")
def fake() -> Iterator[Api]:
    store = Store()
    for kind in KINDS:
        store.serve(*kind)
    store.put("", "namespaces", {"metadata": {"name": NAMESPACE}})
    with Api(store).running() as api:
        yield api


@pytest.fixture(scope="module")
def real() -> Iterator[Server]:
    if not CONTEXT:
        pytest.skip("no real API server: set KUBECONFIG, and BENCHMARK_TEST_API to the context of one with Argo")
    way = find_access(CONTEXT, os.environ)
    transport = ApiTransport(way, CONTEXT, 30.0)
    namespace = f"contract-{secrets.token_hex(4)}"
    impersonating = {"Impersonate-User": "contract-nobody"}
    server = Server(
        way.configuration.host.rstrip("/"),
        transport._ways[0][1],
        namespace,
        transport._authorisation(),
        lambda: impersonating,
    )
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert server.ask("POST", "/api/v1/namespaces", body).code == 201
    try:
        yield server
    finally:
        assert server.ask("DELETE", f"/api/v1/namespaces/{namespace}").code == 200


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each test has names of its own, so that they share a namespace."""
    if request.param == "real":
        given: Server = request.getfixturevalue("real")
        yield Server(given.url, given.pool, given.namespace, given.headers, given.nobody)
        return
    api: Api = request.getfixturevalue("fake")

    def nobody() -> dict[str, str]:
        api.store.denied = lambda _request: True
        return {}

    yield Server(api.url, urllib3.PoolManager(), NAMESPACE, {}, nobody)
    api.store.denied = lambda _request: False


@pytest.fixture
def name() -> str:
    return f"x-{secrets.token_hex(4)}"
