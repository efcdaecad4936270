"""Commands in messages reach the cluster that the message is about, and are typed as they stand."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube import preflight
from steps.cluster.kube.api.errors import refused
from steps.cluster.kube.api.permissions import PERMISSIONS
from steps.settings.environment import DEPLOY_AGAIN, make_command, with_context
from tests.project.test_docs import TARGETS
from tests.workflows.deployment.deploying import deploy_to, undeploy_from
from tests.workflows.fake_argo import cluster, person
from workflows.cli import app

ROOT = Path(__file__).parents[3]
VERBS = "get describe delete create patch edit label apply logs wait rollout set exec scale adm stop terminate submit"
CALL = re.compile(rf"\b(kubectl|oc|argo) (?!--context )(-|({VERBS.replace(' ', '|')})\b)")
MADE = re.compile(r"\bmake (deploy|undeploy|submit)\b(?! CONTEXT=)")
RESTORED = re.compile(r"\bmake (restore|configure|settle)\b(?! ENVIRONMENT=)")


def texts(*folders: str) -> Iterator[tuple[str, str]]:
    """Each text of the sources but those of documentation, with {} for each value in it."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                where = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                    yield where, "".join(map(str, parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                    yield where, node.value


def test_messages_of_the_deployment_name_the_context_in_each_command() -> None:
    found = [
        (where, text)
        for where, text in texts("workflows/deployment", "workflows/submission")
        if CALL.search(text) or MADE.search(text) or RESTORED.search(text)
    ]
    assert found == [], "write client.kubectl, client.argo, client.make() or client.restore_command"


def test_each_command_in_a_text_of_the_steps_gets_the_context() -> None:
    """Theirs are given it where they are printed, if they begin as a command does."""
    found = [
        (where, text)
        for where, text in texts("steps/cluster/kube", "steps/settings", "steps/tasks", "workflows/cli")
        for known in [with_context(text, "prod")]
        if CALL.search(known) or MADE.search(known) or RESTORED.search(text)
    ]
    assert found == []


def test_no_message_deploys_without_the_flags() -> None:
    everywhere = [*texts("analysis", "steps", "workflows", "benchmarks")]
    everywhere += [(str(page), page.read_text(encoding="utf-8")) for page in (ROOT / "docs").rglob("*.md")]
    assert [
        where for where, text in everywhere if re.search(r"apply (-k|--kustomize)|workflows/manifests`", text)
    ] == []


@pytest.mark.parametrize("context", ["prod", "ada@prod/eu", "my cluster"])
def test_context_is_given_to_each_command_once(context: str) -> None:
    text = f"`kubectl get x | kubectl apply -f -`, `make deploy IMAGE=a`, `argo stop x` or `oc get x`; {DEPLOY_AGAIN}."
    known, name = with_context(text, context), shlex.quote(context)
    assert known.startswith(f"`kubectl --context {name} get x | kubectl --context {name} apply -f -`, ")
    assert f"`make deploy CONTEXT={name} IMAGE=a`, `argo --context {name} stop x` or `oc --context {name} get" in known
    assert f"`make deploy CONTEXT={name} IMAGE=... ...`" in known
    assert with_context(known, context) == known
    assert with_context(text, "") == text


@pytest.mark.parametrize("context", ["", "ada@prod/eu", "my cluster"])
def test_make_command_is_one_that_make_takes(context: str) -> None:
    command = make_command("deploy", context, IMAGE="bench:1", RESULTS="s3://b/p?region=eu&scheme=http", NAMESPACE="")
    make, verb, *given = shlex.split(command)
    assert (make, verb in TARGETS) == ("make", True)
    known = [f"CONTEXT={context}"] if context else []
    assert given == [*known, "IMAGE=bench:1", "RESULTS=s3://b/p?region=eu&scheme=http"]


def test_remedy_of_a_denial_names_the_context() -> None:
    body = b'{"kind": "Status", "message": "pods is forbidden: User \\"me\\" cannot list resource \\"pods\\" in x"}'
    problem = refused("prod", "Pods", "GET", 403, body, None, path="/api/v1/pods", context="my cluster")
    assert "`make deploy CONTEXT='my cluster' IMAGE=... ...`" in str(problem)


def test_remedy_of_a_missing_permission_names_context_and_image() -> None:
    (found, *_) = preflight.missing_permissions(person(cluster()), PERMISSIONS, "registry.example/bench:7")
    assert "flags of the first time: `make deploy CONTEXT=prod IMAGE=registry.example/bench:7 ...`." in (
        found.remedy or ""
    )


def test_commands_of_a_deployment_are_quoted() -> None:
    lines = deploy_to(cluster(), results="s3://b/p?region=eu&scheme=http", schedule="0 2 * * *").splitlines()
    commands = [shlex.split(line.split("    ")[1]) for line in lines if line.startswith("    make ")]
    assert [words[1:] for words in commands] == [
        ["submit", "CONTEXT=prod", "NAMESPACE=argo", "PROFILE=smoke"],
        ["query", "QUESTION=trend", "RESULTS=s3://b/p?region=eu&scheme=http"],
        ["undeploy", "CONTEXT=prod", "NAMESPACE=argo"],
    ]


def test_message_on_a_namespace_that_stays_deletes_it_in_this_cluster() -> None:
    store = cluster()
    deploy_to(store, namespace="bench", results="s3://b")
    store.put(
        "argoproj.io", "workflows", {"metadata": {"name": "r", "namespace": "bench"}, "status": {"phase": "Failed"}}
    )
    assert "`kubectl --context prod delete namespace bench`" in undeploy_from(store)


def test_deployment_elsewhere_is_undeployed_there() -> None:
    store = cluster()
    deploy_to(store)
    with pytest.raises(Unsupported, match="`make undeploy CONTEXT=prod NAMESPACE=argo`"):
        deploy_to(store, namespace="bench", results="s3://b")


def test_run_on_a_cluster_is_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["run", "--environment=my prod"]) == BadInput.exit_code
    assert "workflow: type `make submit CONTEXT='my prod'`" in capsys.readouterr().err
