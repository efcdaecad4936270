"""How a fault of the matrix is made, and ended whatever happens."""

from datetime import timedelta
from pathlib import Path

import pytest

from analysis.errors import BadInput, Problem
from benchmarks.chaos import commands
from benchmarks.chaos.points import BY_NAME, FAULTS
from benchmarks.chaos.strikes import Strikes
from tests.steps.kube.fakes.calico import Calico
from tests.workflows.fake_argo import deployment, person
from tests.workflows.submission.fake_run import Status

GIVEN = {f.name: commands.Commands(start="begin {node}", end="end {node}") for f in FAULTS if f.means == "command"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[kubelet-stoped]\nstart='a'\nend='b'", "commands for kubelet-stoped; they are taken for kubelet-stopped,"),
        ("[terminate]\nstart='a'\nend='b'", "commands for terminate; they are taken for"),
        ("[s3-away]\nstart='a'", "s3-away.end: Field required"),
        ("[s3-away]\nstart='a'\nend=' '", "s3-away.end: it has no word"),
        ("[s3-away]\nstart='a {host}'\nend='b'", "'host' is no placeholder: only {node} is"),
        ("[s3-away]\nstart='a \"'\nend='b'", "No closing quotation"),
        ("[s3-away]\nstart='a'\nend='b'\nlasts_s=0", "lasts_s: Input should be greater than 0"),
        ("s3-away", "is no TOML"),
    ],
)
def test_invalid_commands_are_refused_by_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"faults\.toml") as caught:
        commands.read_commands(file)
    assert says in str(caught.value)


def test_failed_command_is_a_problem_that_shows_it() -> None:
    commands.run("true {node}", "node-a")
    with pytest.raises(Problem, match=r"`sh -c 'echo no \$0 >&2; exit 3' 'a node'` failed with exit code 3: no a node"):
        commands.run("sh -c 'echo no $0 >&2; exit 3' {node}", "a node")
    with pytest.raises(Problem, match="can't be started"):
        commands.run("no-such-program", "n")


def test_chaos_fault_without_its_means_is_named_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    strikes = Strikes(person(Calico().store), {"s3-away": GIVEN["s3-away"]})
    assert strikes.left_out() == [
        *(f"{f}: no command is given for it" for f in ("kubelet-stopped", "api-server-stopped", "etcd-stopped")),
        "network-cut: no command is given for it",
        "retry: `argo` is not on PATH",
    ]
    assert "s3-away" in {fault.name for fault in strikes.possible()}


class Interrupted(BaseException):
    """Ctrl-C while a fault lasts."""


def interrupt(_seconds: float) -> None:
    raise Interrupted


def test_interrupted_chaos_fault_is_ended() -> None:
    store = Calico().store
    store.serve("apps", "v1", "deployments", "Deployment")
    found = deployment("workflow-controller", "quay.io/argoproj/workflow-controller:v4.1.2")
    found["spec"]["replicas"] = 2
    store.put("apps", "deployments", found)
    called: list[tuple[str, str]] = []
    strikes = Strikes(person(store), GIVEN, sleep=interrupt, call=lambda text, node: called.append((text, node)))
    run = Status().workflow()
    for name in ("argo-stopped", "kubelet-stopped"):
        with pytest.raises(Interrupted):
            strikes.strike(BY_NAME[name], run, {"id": "x-1", "templateName": "settle"})
    now = store.find("apps", "deployments", "argo", "workflow-controller")
    assert now is not None
    assert now["spec"]["replicas"] == 2
    assert now["metadata"]["generation"] == 3, "it was scaled to 0 in between"
    assert called == [("begin {node}", "node-a"), ("end {node}", "node-a")]


@pytest.mark.parametrize("fault", ["kubelet-stopped", "network-cut"])
@pytest.mark.parametrize(("renewed_after_s", "effect"), [(-3, True), (3, True), (20, False), (None, None)])
def test_chaos_fault_that_silences_a_node_is_seen_by_its_lease(
    fault: str,
    renewed_after_s: int | None,
    effect: bool | None,  # noqa: FBT001
) -> None:
    store = Calico().store
    store.serve("coordination.k8s.io", "v1", "leases", "Lease")
    if renewed_after_s is not None:
        renewed = (store.now() + timedelta(seconds=renewed_after_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        name = {"name": "node-a", "namespace": "kube-node-lease"}
        store.put("coordination.k8s.io", "leases", {"metadata": name, "spec": {"renewTime": renewed}})
    strikes = Strikes(person(store), GIVEN, sleep=store.advance, call=lambda _text, _node: None)
    run = Status().workflow()
    assert strikes.strike(BY_NAME[fault], run, {"id": "x-1", "templateName": "settle"}) is effect
