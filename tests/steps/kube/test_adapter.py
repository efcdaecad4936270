"""The port's verbs over a cluster, and the commands for a person on top of them."""

import pytest

from analysis.errors import BadInput, Problem, Unsupported
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.cluster import connect_cluster
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.workloads import manifests
from steps.cluster.kube.workloads.workload import Workload
from steps.domain import Change, Sign, Visit
from steps.settings.settings import choose_settings
from tests.steps.builders import trial
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico
from workflows.cli import cluster

RUN = {"ARGO_WORKFLOW_NAME": "run-1", "ARGO_WORKFLOW_UID": "uid-1"}
OTHER = {"ARGO_WORKFLOW_NAME": "run-2", "ARGO_WORKFLOW_UID": "uid-2"}


OF_TEMPLATE = {"workflowTemplateRef": {"name": "dataplane-benchmark"}}
PREFLIGHT = {"preflight": {"templateName": "preflight", "phase": "Succeeded"}}


def put_workflow(
    calico: Calico,
    variables: dict[str, str] = RUN,
    phase: str = "Running",
    spec: object = OF_TEMPLATE,
    **status: object,
) -> None:
    name, uid = variables["ARGO_WORKFLOW_NAME"], variables["ARGO_WORKFLOW_UID"]
    metadata = {"namespace": NAMESPACE, "name": name, "uid": uid}
    found = {"metadata": metadata, "spec": spec, "status": {"phase": phase, "nodes": PREFLIGHT, **status}}
    calico.store.put("argoproj.io", "workflows", found)


def kube(
    calico: Calico, variables: dict[str, str] | None = None, notices: list[str] | None = None
) -> KubernetesCluster:
    client, _transport = direct_client(calico.store)
    say = notices.append if notices is not None else lambda _sentence: None
    return KubernetesCluster(
        "prod", client=client, variables=variables or {}, say=say, sleep=calico.store.advance, gate_s=0
    )


def holder(
    calico: Calico, variables: dict[str, str] | None = None, notices: list[str] | None = None
) -> KubernetesCluster:
    """A run that has taken the lock."""
    put_workflow(calico)
    cluster = kube(calico, {**RUN, **(variables or {})}, notices)
    cluster.snapshot()
    return cluster


def visit(dataplane: str) -> Visit:
    return Visit(visit=1, round=1, dataplane=dataplane, trials=())


def settings(dataplane: str = "ebpf") -> Settings:
    return choose_settings(profile="smoke", dataplanes=dataplane, environment="prod", seed_source=lambda: 1)


def test_measured_nodes_are_those_of_the_snapshot() -> None:
    calico = Calico()
    assert kube(calico).measured_nodes == ("node-a", "node-b")
    holder(calico, {"BENCHMARK_NODES": "node-b,node-a"}).configure(visit("ebpf"), settings())
    assert kube(calico, RUN).measured_nodes == ("node-b", "node-a")


CORDON = {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}


@pytest.mark.parametrize("who", ["a user", "a run"])
def test_cordoned_node_of_the_snapshot_is_switched_and_reported(who: str) -> None:
    calico, notices = Calico(), list[str]()
    if who == "a run":
        run = holder(calico, notices=notices)

        def switch(dataplane: str) -> list[Change]:
            return run.configure(visit(dataplane), settings())

    else:
        switch = kube(calico, notices=notices).configure_for_user
    switch("nftables")
    assert not any("node-b" in notice for notice in notices)
    found = calico.store.find("", "nodes", "", "node-b")
    assert found is not None
    found["spec"] |= CORDON
    assert switch("ebpf")
    (told,) = (notice for notice in notices if notice.startswith("node node-b"))
    assert "takes no pods (cordoned or tainted), and stays one of the measured two" in told
    assert "others are only after a restore" in told


def test_snapshot_is_the_state_before_the_first_run() -> None:
    calico = Calico()
    put_workflow(calico)
    who = kube(calico, RUN)
    first = who.snapshot()
    who.configure(visit("ebpf"), settings())
    later = who.snapshot()
    assert {**later, "taken_at": ""} == {**first, "taken_at": ""}
    assert later["dataplane"] == "iptables"


def test_twin_dataplane_is_the_same() -> None:
    calico = Calico()
    who = holder(calico)
    assert who.configure(visit("ebpf"), settings())
    assert who.configure(visit("ebpf+twin"), settings("ebpf,ebpf+twin")) == []


@pytest.mark.parametrize("reason", [None, "node-b: Felix fell back from BPF"])
def test_retreat_from_an_unproven_dataplane(reason: str | None) -> None:
    calico = Calico()
    who = kube(calico, RUN)
    assert who.retreat(visit("ebpf"), reason) == [], "this run does not hold the cluster"
    put_workflow(calico)
    who.snapshot()
    who.configure(visit("ebpf"), settings())
    assert kube(calico, OTHER).retreat(visit("ebpf"), reason) == []
    assert who.retreat(visit("ebpf+twin"), reason)
    assert not calico.felix["spec"].get("bpfEnabled")
    assert len(calico.kube_proxy_pods) == 2
    assert calico.store.find("", "configmaps", KUBE_SYSTEM, STATE) is not None, "the run holds the cluster"
    if reason is None:
        assert who.configure(visit("ebpf-dsr"), settings())
    else:
        with pytest.raises(Unsupported, match="ebpf-dsr was found unavailable earlier in this run: node-b: Felix"):
            who.configure(visit("ebpf-dsr"), settings())
    assert len(who.left()) == 1
    assert kube(calico, OTHER).left() == []


def test_switch_goes_on_without_a_cost_measurement() -> None:
    calico = Calico()
    notices: list[str] = []
    assert holder(calico, notices=notices).configure(visit("ebpf"), settings())
    assert any(sentence.startswith("what the switch costs will be unknown: BENCHMARK_IMAGE") for sentence in notices)


@pytest.mark.parametrize("dataplane", ["iptables", "ebpf"])
def test_first_scale_is_made_before_the_first_switch(dataplane: str) -> None:
    calico = Calico()
    many = settings().model_copy(update={"scales": (Scale(services=3, policies=2),)})
    holder(calico, {"BENCHMARK_IMAGE": "image:1"}).configure(visit(dataplane), many)
    writes = [(r.verb, r.name) for r in calico.store.requests if r.verb in {"create", "patch"}]
    made = [at for at, (verb, name) in enumerate(writes) if verb == "create" and name.startswith("scale-")]
    assert len(made) == 3 + 3 + 2 + 1, "Services, their EndpointSlices, policies, and the one that admits"
    taken = next(at for at, (verb, name) in enumerate(writes) if verb == "create" and name == STATE)
    assert taken < min(made), "nothing is made before the cluster is held"
    assert all(at > max(made) for at, (verb, name) in enumerate(writes) if verb == "patch" and name != STATE)


def test_active_run_keeps_its_lock_and_pods() -> None:
    calico = Calico()
    put_workflow(calico)
    holder(calico).configure(visit("ebpf"), settings())
    client, _transport = direct_client(calico.store)
    container = manifests.Container("server", ("true",))
    Workload(client, manifests.TRIALS).ensure_pods(
        [manifests.pod("server", manifests.TRIALS, "node-a", [container], "image:1", deadline_s=60)]
    )
    other = kube(calico, OTHER)
    assert other.restore() == []
    with pytest.raises(Unsupported, match="is running: stop it first"):
        kube(calico).restore_for_user()
    assert Workload(client, manifests.TRIALS).pods()
    (found,) = [f for f in other.preflight(settings()) if f.severity == "stop" and "held" in f.reason]
    assert "workflow bench/run-1" in found.reason
    put_workflow(calico, phase="Failed")
    (found,) = [f for f in other.preflight(settings()) if "left it" in f.reason]
    assert "`make restore ENVIRONMENT=prod`" in str(found.remedy)
    assert other.restore()
    assert not Workload(client, manifests.TRIALS).pods()


def test_restore_goes_by_the_lock_alone_and_changes_nothing_without_one() -> None:
    calico = Calico()
    who = holder(calico)
    who.configure(visit("ebpf-dsr"), settings())
    calico.store.take("", "configmaps", KUBE_SYSTEM, STATE)
    switched = calico.settings()
    assert who.left() == []
    assert who.restore() == []
    assert calico.settings() == switched


def test_visit_cut_short_by_a_stop_is_known_by_the_lock_and_its_trial_pods() -> None:
    calico = Calico()
    who = kube(calico, RUN)
    assert who.unfinished() is None
    put_workflow(calico)
    who.snapshot()
    going = visit("ebpf+twin").model_copy(update={"visit": 7, "round": 2})
    who.configure(going.model_copy(update={"trials": (trial(),)}), settings())
    assert who.unfinished() is None, "no trial can have been measured"
    client, _transport = direct_client(calico.store)
    workload, container = Workload(client, manifests.TRIALS), manifests.Container("server", ("true",))
    workload.ensure_pods([manifests.pod("server", manifests.TRIALS, "node-a", [container], "image:1", deadline_s=60)])
    assert kube(calico, RUN).unfinished() == going
    assert kube(calico, OTHER).unfinished() is None, "it is another run's"
    who.configure(visit("iptables"), settings())
    assert kube(calico, RUN).unfinished() == visit("iptables")
    who.clear(visit("iptables"))
    assert who.unfinished() is None, "it was looked at, and cleared"


@pytest.mark.parametrize("data", [{}, {"owner": "{", "taken_at": "", "snapshot": "{}"}, {"owner": "[]"}])
def test_foreign_snapshot_config_map_is_left_alone(data: dict[str, str]) -> None:
    calico = Calico()
    calico.store.put("", "configmaps", {"metadata": {"namespace": KUBE_SYSTEM, "name": STATE}, "data": data})
    with pytest.raises(Problem, match="is no snapshot that this program reads"):
        kube(calico).restore()


def test_snapshot_of_a_newer_version_is_refused() -> None:
    calico = Calico()
    holder(calico).configure(visit("ebpf"), settings())
    found = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert found is not None
    found["data"]["snapshot"] = found["data"]["snapshot"].replace('"version": 1', '"version": 99')
    with pytest.raises(Problem, match=r"snapshot\.version: Input should be 1"):
        kube(calico, RUN).restore()


def test_any_environment_other_than_lab_is_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    with pytest.raises(Unsupported, match="environment 'prod': there is no way to a cluster"):
        connect_cluster("prod")


def test_user_configures_with_dry_run_and_restores(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calico = Calico()
    before = calico.settings()
    monkeypatch.setattr(cluster, "KubernetesCluster", lambda _environment, **_: kube(calico))
    assert cluster.configure(environment="prod", dataplane="ebpf", dry_run=True) == 0
    planned = capsys.readouterr().out
    assert calico.settings() == before
    assert cluster.configure(environment="prod", dataplane="ebpf") == 0
    done = capsys.readouterr().out
    assert {line for line in done.splitlines() if line.startswith("kubectl --context prod ")} <= set(
        planned.splitlines()
    )
    assert cluster.configure(environment="prod", dataplane="ebpf") == 0
    assert "Nothing to change" in capsys.readouterr().out
    assert cluster.restore(environment="prod", dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "kubectl --context prod patch felixconfigurations.crd.projectcalico.org default --type merge"
    )
    assert lines[-1] == "kubectl --context prod -n kube-system delete configmap dataplane-benchmark"
    assert cluster.restore(environment="prod") == 0
    assert calico.settings() == before


@pytest.mark.parametrize(
    ("environment", "dataplane", "words"),
    [
        ("lab", "ebpf", "the lab is made for each run"),
        ("prod", "lab-ebpf", "dataplane 'lab-ebpf' is the lab's: did you mean ebpf"),
        ("prod", "xyz", "dataplane 'xyz' is unknown: known are"),
    ],
)
def test_bad_input_is_a_problem(environment: str, dataplane: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        cluster.configure(environment=environment, dataplane=dataplane)


def test_readiness_is_checked_only_with_probe_pods() -> None:
    calico = Calico()
    notices: list[str] = []
    client, _transport = direct_client(calico.store)
    who = KubernetesCluster("prod", client=client, variables=RUN, say=notices.append, sleep=calico.store.advance)
    put_workflow(calico)
    who.snapshot()
    who.configure(visit("ebpf"), settings())
    who.restore()
    assert any("whether iptables works again was not checked" in sentence for sentence in notices)


def test_settle_repeated_by_retry_reports_that_the_switch_was_reversed() -> None:
    calico = Calico()
    who = holder(calico)
    who.configure(visit("ebpf"), settings())
    who.restore()
    with pytest.raises(Problem, match=r"prod: the switch to ebpf was put back .* so iptables runs now.* submit a run"):
        who.observe(visit("ebpf"), "before")


@pytest.mark.parametrize("dataplane", ["iptables", "as-is"])
def test_settle_after_a_retry_goes_on_where_no_switch_is_missing(
    dataplane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calico = Calico()
    who = holder(calico)
    who.configure(visit(dataplane), settings(dataplane))
    who.restore()
    looked = []

    def look(*_given: object, **_more: object) -> list[Sign]:
        looked.append(dataplane)
        return []

    monkeypatch.setattr("steps.cluster.kube.plugins.calico.proof.observe.observe", look)
    assert who.observe(visit(dataplane), "before") == []
    assert looked == [dataplane]
