"""Commands that a message tells a user to type to put a cluster back: typed as they stand, they do."""

import argparse
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube import preflight
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.ownership import lock
from steps.tasks.guarding import guard_restore
from steps.tasks.notify import notify
from tests.project.test_make import Make
from tests.steps.kube.api.kubeconfigs import document, written
from tests.steps.kube.calico.restore.test_restore_proof import kube, put_back_but_not_over
from tests.steps.kube.calico.switched import IPTABLES, Cluster
from tests.steps.kube.fakes.api import NAMESPACE, Api
from tests.steps.kube.fakes.store import Store
from tests.steps.kube.guard.guarding import switched
from tests.steps.kube.recordings import switch
from tests.steps.kube.test_adapter import kube as plain_kube
from workflows.cli import app
from workflows.cli import cluster as cluster_verbs
from workflows.deployment.deployed import use_deployment
from workflows.deployment.undeploy import undeploy
from workflows.deployment.user_client import UserClient

COMMAND = re.compile(r"`(make [^`]+)`")
KUBECTL = re.compile(r"`(kubectl [^`]+ delete [^`]+)`")
PATHS = {
    "workflow": "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows/{}",
    "configmap": "/api/v1/namespaces/{}/configmaps/{}",
}
CONTEXT = "ada@prod/eu"
IMAGE = "registry.example/bench:7"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Deployed in a namespace of its own and named `demo` in the store; a dead run holds its lock."""
    found = Cluster(switch(IPTABLES))
    store = found.store
    for group, plural, kind in (
        ("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding"),
        ("argoproj.io", "workflowtemplates", "WorkflowTemplate"),
    ):
        store.serve(group, "v1alpha1" if group == "argoproj.io" else "v1", plural, kind)
    subjects = [{"kind": "ServiceAccount", "name": "x", "namespace": NAMESPACE}]
    binding = {"metadata": {"name": "dataplane-benchmark-switch"}, "subjects": subjects}
    store.put("rbac.authorization.k8s.io", "clusterrolebindings", binding)
    here = {"namespace": NAMESPACE, "name": "dataplane-benchmark"}
    template = {"metadata": dict(here), "spec": {"templates": [{"name": "restore", "script": {"image": IMAGE}}]}}
    store.put("argoproj.io", "workflowtemplates", template)
    store.put("", "configmaps", {"metadata": dict(here), "data": {"BENCHMARK_ENVIRONMENT": "demo"}})
    put_back_but_not_over(found)
    context = {"name": CONTEXT, "context": {"cluster": "c", "user": "me"}}
    api = Api(store)
    with api.running():
        servers = [{"name": "c", "cluster": {"server": api.url}}]
        kubeconfig = {**document(clusters=servers, contexts=[context]), "current-context": CONTEXT}
        monkeypatch.setenv("KUBECONFIG", written(tmp_path, kubeconfig)["KUBECONFIG"])
        for name in ("BENCHMARK_NAMESPACE", "BENCHMARK_IMAGE"):
            monkeypatch.setenv(name, "")  # as the Makefile exports it
        monkeypatch.setattr(
            cluster_verbs,
            "KubernetesCluster",
            lambda context, *, at_prompt: KubernetesCluster(
                context, say=found.notices.append, sleep=store.advance, at_prompt=at_prompt
            ),
        )
        yield found


def messages(cluster: Cluster, context: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What tells a user to restore; in a pod of the deployment the context is the ConfigMap's."""
    client = cluster.client
    client.where, client.context = "demo", context
    monkeypatch.setenv("BENCHMARK_ENVIRONMENT", "demo")
    monkeypatch.setenv("BENCHMARK_CONTEXT", "" if context == "demo" else context)
    held = lock.find_lock(client)
    assert held is not None
    cluster.failing = "ClusterIP from node-b"
    with pytest.raises(Problem) as unproven:
        kube(cluster).restore()
    cluster.failing = ""
    with pytest.raises(SystemExit) as told:
        notify("Failed", "Failed")
    assert told.value.code
    person = UserClient.__new__(UserClient)
    person.__dict__.update(client.__dict__)
    with pytest.raises(Problem) as locked:
        undeploy("", client=person)
    return {
        "held by another": lock.held_by_another(client, held),
        "left behind": preflight.lock_finding(client, held, alive=False).sentence,
        "alive or not is unknown": preflight.lock_finding(client, held, alive=None).sentence,
        "not proven": str(unproven.value),
        "locked": str(locked.value),
    }


@pytest.mark.parametrize("context", [CONTEXT, "demo"])
def test_each_command_to_restore_restores_as_it_stands(
    context: str,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = messages(cluster, context, monkeypatch)
    told["notify"] = capsys.readouterr().err
    guard_restore.notify_of_person("ada@desk", 86_400.0, os.environ)
    told["guard of a person's lock"] = capsys.readouterr().err
    commands = {source: set(COMMAND.findall(text)) for source, text in told.items()}
    (command,) = set.union(*commands.values())
    assert all(commands.values()), commands
    make, *words = shlex.split(command)
    assert make == "make"
    asked = Make(tmp_path).flags(*words)
    before = len(cluster.store.requests)
    assert app.main([words[0], *asked]) == 0, capsys.readouterr().err
    assert cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is None
    made = [request for request in cluster.store.requests[before:] if request.verb == "create"]
    pods = [request for request in made if request.plural == "pods"]
    assert pods, "whether the dataplane works again was looked at"
    assert {request.namespace for request in pods} == {NAMESPACE}
    assert not [sentence for sentence in cluster.notices if "was not checked" in sentence]


def delete(store: Store, message: str) -> None:
    """Type the one kubectl command of a message."""
    (command,) = KUBECTL.findall(message)
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in ("--context", "-n"):
        parser.add_argument(name)
    for name in ("verb", "kind", "name"):
        parser.add_argument(name)
    typed = parser.parse_args(shlex.split(command)[1:])
    assert typed.verb == "delete"
    assert store.handle("DELETE", PATHS[typed.kind].format(typed.n, typed.name)).status == 200, command


def test_way_out_where_a_run_can_not_be_stopped_restores() -> None:
    calico, before = switched()
    with pytest.raises(Unsupported) as refused:
        plain_kube(calico).restore_for_user()
    delete(calico.store, str(refused.value))
    plain_kube(calico).restore_for_user()
    assert calico.settings() == before


def test_way_to_give_up_an_unproven_restore_frees_the_cluster(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = messages(cluster, CONTEXT, monkeypatch)["not proven"]
    delete(cluster.store, told)
    assert cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is None


def test_name_that_is_no_context_and_no_deployment_is_refused(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["restore", "--environment=other"]) == 2
    assert "environment 'other' is neither the lab nor a context of" in capsys.readouterr().err
    assert cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is not None


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("given", ["", "mine"])
def test_verbs_by_hand_use_the_deployment_by_default(given: str) -> None:
    variables = {"KUBECONFIG": os.environ["KUBECONFIG"], "BENCHMARK_NAMESPACE": "", "BENCHMARK_IMAGE": given}
    assert use_deployment("demo", variables) == CONTEXT
    assert variables["BENCHMARK_NAMESPACE"] == NAMESPACE
    assert variables["BENCHMARK_IMAGE"] == (given or IMAGE)
    variables["BENCHMARK_NAMESPACE"] = "other"
    use_deployment(CONTEXT, variables)
    assert variables["BENCHMARK_NAMESPACE"] == "other"


def test_namespace_is_that_of_the_locks_run_where_the_deployment_may_not_be_read(cluster: Cluster) -> None:
    variables = {"KUBECONFIG": os.environ["KUBECONFIG"]}
    cluster.store.denied = lambda request: request.plural in {"clusterrolebindings", "workflowtemplates"}
    use_deployment(CONTEXT, variables)
    assert variables == {**variables, "BENCHMARK_NAMESPACE": NAMESPACE}
    assert "BENCHMARK_IMAGE" not in variables


def refused_for_a_moment(self: Client, *_: object, **__: object) -> None:
    raise TransientError(f"{self.where}: the API server can't be reached: Connection refused.", absent=True)


def test_namespace_is_not_guessed_where_the_api_server_does_not_answer_the_look_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as away:
        away.setattr(UserClient, "get", refused_for_a_moment)
        assert app.main(["restore", f"--environment={CONTEXT}"]) == Problem.exit_code
    assert "the API server can't be reached" in capsys.readouterr().err
    assert cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is not None


def test_unknown_namespace_is_refused(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    unread = {"clusterrolebindings", "workflowtemplates", "configmaps"}
    cluster.store.denied = lambda request: request.plural in unread
    assert app.main(["restore", f"--environment={CONTEXT}"]) == 2
    assert "the benchmark's namespace is unknown, since no deployment" in capsys.readouterr().err
    cluster.store.denied = lambda _request: False
    assert cluster.store.find("", "configmaps", KUBE_SYSTEM, STATE) is not None
