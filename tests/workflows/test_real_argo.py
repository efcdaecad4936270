"""A short run on a real Argo, without switching anything: by submit, by cron, and by retry after it was terminated.

`make deploy` must have been there. BENCHMARK_TEST_CLUSTER names the kubeconfig's context, BENCHMARK_TEST_NAMESPACE
where the benchmark is deployed if not in argo, BENCHMARK_TEST_RESULTS the store as it is reached from here, if it is:
s3://BUCKET?endpoint_override=...&scheme=http, with credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import copy
import io
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3

from analysis.console.terminal import Terminal
from analysis.sql import database
from analysis.store.store import Store
from steps.cluster.kube.api.permissions import WORKFLOWS
from steps.cluster.kube.ownership import lock
from steps.tasks.shared.step import run_id
from workflows.deployment import argo
from workflows.deployment.user_client import CRON_WORKFLOWS, UserClient
from workflows.flags.run import SubmitFlags
from workflows.submission import status, submit
from workflows.template import nightly
from workflows.template.benchmark import NAME

Object = dict[str, Any]
NAMED = os.environ.get("BENCHMARK_TEST_CLUSTER", "")
NAMESPACE = os.environ.get("BENCHMARK_TEST_NAMESPACE", "argo")
RESULTS = os.environ.get("BENCHMARK_TEST_RESULTS", "")
SHORT = SubmitFlags(
    context=NAMED, namespace=NAMESPACE, profile="smoke", dataplanes="as-is", topologies="pod-to-service", label="test"
)
PATIENCE_S = 900

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not NAMED,
        reason="no real Argo: set KUBECONFIG, and BENCHMARK_TEST_CLUSTER to the context of one with the benchmark",
    ),
]


@pytest.fixture
def client() -> Iterator[UserClient]:
    """Somebody at that cluster, which no run holds afterwards."""
    person = UserClient.of(NAMED, NAMESPACE, patience_s=submit.PATIENCE_S)
    yield person
    assert lock.find_lock(person) is None, "the run still holds the cluster"


def followed(client: UserClient, name: str, until: Callable[[Object], bool] = status.has_ended) -> Object:
    for found in client.follow(WORKFLOWS, name, NAMESPACE):
        if until(found):
            return found
    raise AssertionError(f"{name} is gone")


def is_whole(found: Object) -> None:
    """It went well, said so in the last node's output, and holds its report; its rows are in the store once."""
    assert status.phase(found) == "Succeeded", status.failures(found)
    nodes = list(status.nodes(found).values())
    (verdict,) = (n for n in nodes if n["templateName"] == "verdict" and n["type"] == "Pod")
    (printed,) = (p["value"] for p in verdict["outputs"]["parameters"] if p["name"] == "verdict")
    report = status.reported_result(found)
    assert report is not None
    assert report.headline == printed
    assert "report" in [a["name"] for n in nodes if n["id"] == report.node for a in n["outputs"]["artifacts"]]
    if RESULTS:
        run = run_id(found["metadata"]["name"], found["metadata"]["uid"])
        with database.connect(Store(RESULTS)) as con:
            rows = database.query(
                con, "select trial, outcome from trials where run_id = $run", {"run": run}
            ).to_pylist()
            runs = database.query(con, "select verdict from runs where run_id = $run", {"run": run}).to_pylist()
        assert len(runs) == 1
        assert {row["outcome"] for row in rows} == {"measured"}
        assert len({row["trial"] for row in rows}) == len(rows) > 0


def test_recorded_argo_run_by_submit(client: UserClient) -> None:
    out = io.StringIO()
    assert submit.submit(SHORT, Terminal(file=out, width=200), client) == 0
    assert "artifact-files" in out.getvalue()
    name = next(word.partition("/")[2] for word in out.getvalue().split() if word.startswith(f"{NAMESPACE}/"))
    found = followed(client, name)
    is_whole(found)
    assert found["metadata"]["annotations"]["workflows.argoproj.io/title"] == "Ad hoc · smoke · as-is · test"


def test_recorded_argo_run_by_cron(client: UserClient) -> None:
    cron = f"{NAME}-test-{uuid.uuid4().hex[:5]}"
    body = copy.deepcopy(nightly.build_nightly().to_dict())
    body["metadata"] = {"name": cron}
    body["spec"]["schedules"] = ["* * * * *"]
    given = SHORT.form("submitted") | {"trigger": "nightly"}
    body["spec"]["workflowSpec"]["arguments"]["parameters"] = [{"name": k, "value": v} for k, v in given.items()]
    client.create(CRON_WORKFLOWS, body, NAMESPACE)
    label = f"workflows.argoproj.io/cron-workflow={cron}"
    try:
        begun = client.until(WORKFLOWS, NAMESPACE, bool, 150, labels=label)
        assert begun, "Argo started nothing within two minutes"
        client.patch(CRON_WORKFLOWS, cron, {"spec": {"suspend": True}}, NAMESPACE)
        found = followed(client, begun[0]["metadata"]["name"])
    finally:
        client.patch(CRON_WORKFLOWS, cron, {"spec": {"suspend": True}}, NAMESPACE)
    is_whole(found)
    assert found["metadata"]["annotations"]["workflows.argoproj.io/title"].startswith("Nightly · smoke")
    client.delete(CRON_WORKFLOWS, cron, NAMESPACE)


def test_recorded_argo_run_by_retry_after_terminate(client: UserClient) -> None:
    name = submit.choose_name()
    submit.create_run(client, SHORT.form("submitted"), name)

    def measures(found: Object) -> bool:
        return status.has_ended(found) or any(
            n["templateName"] == "measure" and n["phase"] == "Running" for n in status.nodes(found).values()
        )

    assert not status.has_ended(followed(client, name, measures))
    client.patch(WORKFLOWS, name, {"spec": {"shutdown": "Terminate"}}, NAMESPACE)
    assert status.phase(followed(client, name)) == "Failed"
    ui = argo.find_argo(client).ui
    if ui is None or ui.forward:
        pytest.skip("Argo's server can't be reached from here, and it is what retries")
    answer = urllib3.request("PUT", f"{ui.url}/api/v1/workflows/{NAMESPACE}/{name}/retry", json={}, timeout=30)
    assert answer.status == 200, answer.data
    is_whole(followed(client, name))
