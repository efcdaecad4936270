"""Submitting: what is refused before, what is sent, what is shown of it, and what it ends with."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import Configuration

from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Problem, Unsupported
from steps.cluster.kube.api.errors import TransientError
from steps.cluster.kube.api.permissions import WORKFLOWS
from steps.cluster.kube.api.transport import ApiTransport, ClusterAccess
from steps.settings.schedule import planned_time
from steps.settings.settings import choose_settings
from tests.steps.kube.fakes.api import WHERE, Api, Fault
from tests.steps.kube.fakes.store import Store
from tests.workflows.fake_argo import NAMESPACE, cluster, person
from tests.workflows.submission.fake_run import RUN, UID, Status, begun, whole
from tests.workflows.template import test_render
from workflows.deployment.user_client import UserClient
from workflows.flags.run import SubmitFlags
from workflows.submission import status, submit

Object = dict[str, Any]


def deployed() -> Store:
    store = cluster()
    store.put("argoproj.io", "workflowtemplates", {"metadata": {"name": "dataplane-benchmark", "namespace": NAMESPACE}})
    data = {"BENCHMARK_ENVIRONMENT": "prod", "BENCHMARK_RESULTS": "s3://artifacts"}
    store.put("", "configmaps", {"metadata": {"name": "dataplane-benchmark", "namespace": NAMESPACE}, "data": data})
    return store


def run(
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    *states: Status | BaseException,
    **asked: Any,  # noqa: ANN401
) -> tuple[int, str]:
    """Submit, and have the watch see these states one after another."""

    def follow(_self: UserClient, _resource: object, _name: str, _namespace: str) -> Iterator[Object]:
        for state in states:
            if isinstance(state, BaseException):
                raise state
            yield state.workflow()

    monkeypatch.setattr(UserClient, "follow", follow)
    out = io.StringIO()
    code = submit.submit(SubmitFlags(**asked), Terminal(file=out, width=300), person(store))
    return code, out.getvalue()


def sent(store: Store) -> list[Object]:
    return store.all("argoproj.io", "workflows")


def test_submitted_workflow_refers_to_the_template_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    store = deployed()
    code, output = run(
        monkeypatch, store, whole(), dataplanes="ebpf", duration="5", label="new kernel", nodes="a,b", profile="smoke"
    )
    (made,) = sent(store)
    assert {p["name"]: p["value"] for p in made["spec"]["arguments"]["parameters"]} == {
        "dataplanes": "ebpf",
        "topologies": "",
        "profile": "smoke",
        "nodes": "a,b",
        "label": "new kernel",
        "options": "duration=5",
        "trigger": "submitted",
    }
    assert made["spec"]["workflowTemplateRef"] == {"name": "dataplane-benchmark"}
    plain = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        **submit.build_workflow("n", {"profile": "smoke"}),
    }
    assert test_render.complaints(plain) == []
    assert code == 0
    assert "about " in output


def test_preflight_reports_the_cost_of_an_operator_install(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "The Tigera operator installed Calico here"
    assert said not in run(monkeypatch, deployed(), whole(), dataplanes="iptables,ebpf", profile="smoke")[1]
    store = deployed()
    store.serve("operator.tigera.io", "v1", "installations", "Installation")
    store.put("operator.tigera.io", "installations", {"metadata": {"name": "default"}, "spec": {}})
    _, output = run(monkeypatch, store, whole(), dataplanes="iptables,ebpf", profile="smoke")
    assert said in output
    chosen = choose_settings(profile="smoke", dataplanes="iptables,ebpf", environment="prod")
    longer = planned_time(chosen, by_operator=True).sentence
    assert longer != planned_time(chosen).sentence
    assert output.count(longer) == 2, "the planned time is that of an operator install"


def test_time_of_a_continued_run_is_that_of_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the store, which the cluster can read: the first step returns them."""
    continued = choose_settings(
        profile="standard", dataplanes="iptables,ebpf", environment="prod", options="rounds=2 continues=night"
    )
    run_time, default_time = (
        planned_time(settings).sentence
        for settings in (continued, choose_settings(environment="prod", options="rounds=2"))
    )
    assert run_time != default_time
    validating, done = Status(), whole()
    validating.node("validate", "validate")
    (first,) = (node for node in done.nodes.values() if node["templateName"] == "validate")
    first["outputs"] = {"parameters": [{"name": "settings", "value": continued.model_dump_json()}]}
    code, output = run(monkeypatch, deployed(), validating, done, rounds="2", continues="night")
    assert code == 0
    assert "is submitted: more rounds of run night" in output
    assert f"It measures iptables, ebpf: {run_time}." in output
    assert default_time not in output


def test_settings_of_a_continued_run_that_are_none_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    done = whole()
    (first,) = (node for node in done.nodes.values() if node["templateName"] == "validate")
    first["outputs"] = {"parameters": [{"name": "settings", "value": '{"rounds": "many"}'}]}
    with pytest.raises(Problem, match=r"has settings that can't be read: .*goes on"):
        run(monkeypatch, deployed(), done, continues="night")


def test_submit_output_ends_with_verdict_and_report_link(monkeypatch: pytest.MonkeyPatch) -> None:
    done = whole()
    (node,) = (id_ for id_, n in done.nodes.items() if n["templateName"] == "report")
    code, output = run(monkeypatch, deployed(), begun()[0], done)
    assert code == 0
    assert "eBPF gains 30 %." in output
    assert f"http://localhost:2746/artifact-files/argo/workflows/{RUN}/{node}/outputs/report" in output
    assert "port-forward" in output
    assert f"make report RUN={RUN}-{UID} RESULTS=s3://artifacts" in output
    assert "visit 01  ebpf  round 1: succeeded" in output


def test_failed_trials_end_submit_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run(monkeypatch, deployed(), whole("measured-with-failures", "Failed"))
    assert code == 1
    assert "Failed: verdict: eBPF gains 30 %. Not everything was measured." in output
    assert "exit code" not in output


def test_failed_exit_handler_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, deployed(), whole("measured", "Failed"))[0] == 1


def test_run_without_report_names_failed_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, visit = begun()
    message = "main: Error (exit code 1): node-b never came back."
    lost.node("visit(0:visit:01).configure", "configure", phase="Failed", boundary=visit, message=message)
    lost.phase = "Failed"
    code, output = run(monkeypatch, deployed(), lost)
    assert code == 1
    assert "configure: node-b never came back." in output


@pytest.mark.parametrize("step", ["validate", "preflight"])
def test_error_of_the_first_steps_is_the_submit_error(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    refused = Status("Failed")
    refused.node(step, step, phase="Failed", message="main: Error (exit code 2): node x is not there.\nnor is y.")
    with pytest.raises(Unsupported, match=r"^node x is not there\.\nnor is y\.$"):
        run(monkeypatch, deployed(), refused)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"profile": "quik"}, "quick"),
        ({"dataplanes": "lab-ebpf"}, "belongs to lab"),
        ({"nodes": "a"}, "CLIENT,SERVER"),
        ({"duration": "0"}, "at least 1 s"),
    ],
)
def test_invalid_input_is_refused_before_submission(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], says: str
) -> None:
    store = deployed()
    with pytest.raises(BadInput, match=says):
        run(monkeypatch, store, **asked)
    assert sent(store) == []


@pytest.mark.parametrize("missing", [("argoproj.io", "workflowtemplates"), ("", "configmaps")])
def test_cluster_without_the_template_is_a_problem(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, str]) -> None:
    store = deployed()
    store.take(*missing, NAMESPACE, "dataplane-benchmark")
    with pytest.raises(
        Unsupported, match=r"prod has no benchmark in namespace [a-z-]+: deploy it first by `make deploy CONTEXT=prod "
    ):
        run(monkeypatch, store)


def test_missing_submit_permission_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    store = deployed()
    store.denied = lambda request: (request.plural, request.verb) == ("workflows", "create")
    with pytest.raises(Unsupported, match="not allowed: workflows") as refused:
        run(monkeypatch, store)
    assert "begun" not in str(refused.value)


def test_submit_without_permission_to_read_the_argo_server(monkeypatch: pytest.MonkeyPatch) -> None:
    store = deployed()
    store.denied = lambda request: request.plural in {"customresourcedefinitions", "deployments"}
    code, output = run(monkeypatch, store, whole())
    assert code == 0
    assert "Report:" not in output
    assert "make report" in output


def test_waiting_for_the_mutex_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Status("Pending", "Waiting for argo/Mutex/dataplane-benchmark lock. Lock status: 0/1")
    found = waiting.workflow()
    held = {"mutex": {"waiting": [{"mutex": "argo/Mutex/dataplane-benchmark", "holder": "argo/other"}]}}
    found["status"]["synchronization"] = held
    assert status.waits_for(found) == (
        "Waiting until another run (argo/other) has ended: only one may switch the cluster at a time."
    )
    assert "Waiting until another run has ended" in run(monkeypatch, deployed(), waiting, whole())[1]


def test_sigint_stops_the_watch_and_names_the_stop_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(monkeypatch, deployed(), begun()[0], KeyboardInterrupt())
    output = capsys.readouterr().err
    assert code == 130
    assert "goes on. To stop it" in output
    assert "`argo --context prod -n argo stop dataplane-benchmark-" in output


def interrupted(monkeypatch: pytest.MonkeyPatch, store: Store, place: str, **asked: Any) -> tuple[int, str]:  # noqa: ANN401
    """Submit, with Ctrl-C in a function of the verb."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("secrets.choice", lambda _letters: "x")
    monkeypatch.setattr(place, interrupt)
    return run(monkeypatch, store, **asked)


@pytest.mark.parametrize("place", ["workflows.deployment.argo.find_argo", "analysis.console.terminal.Terminal.print"])
@pytest.mark.parametrize("detach", [False, True])
def test_sigint_between_creation_and_watching_names_the_run(
    place: str,
    detach: bool,  # noqa: FBT001 - a case
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = deployed()
    code, _ = interrupted(monkeypatch, store, place, detach=detach)
    said = capsys.readouterr().err
    assert code == 130
    assert [found["metadata"]["name"] for found in sent(store)] == ["dataplane-benchmark-xxxxx"]
    assert "The run dataplane-benchmark-xxxxx goes on. To stop it" in said
    assert "`argo --context prod -n argo stop dataplane-benchmark-xxxxx`" in said


def test_sigint_during_creation_names_the_run_that_may_have_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = interrupted(monkeypatch, deployed(), "workflows.deployment.user_client.UserClient.create")
    said = capsys.readouterr().err
    assert code == 130
    assert "The run dataplane-benchmark-xxxxx may have begun, and then it goes on. To stop it" in said
    assert "`argo --context prod -n argo stop dataplane-benchmark-xxxxx`" in said


def test_sigint_before_creation_names_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    store = deployed()
    with pytest.raises(KeyboardInterrupt):
        interrupted(monkeypatch, store, "workflows.submission.submit.checked_settings")
    assert sent(store) == []


def test_creation_without_an_answer_names_the_run_that_may_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(*_: object) -> None:
        raise TransientError("the API server can't be reached.")

    monkeypatch.setattr(UserClient, "create", unanswered)
    with pytest.raises(Problem, match=r"can't be reached\. The run dataplane-benchmark-\w+ may have begun"):
        run(monkeypatch, deployed())


def test_lost_connection_reports_that_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match=r"can't be reached\. The run dataplane-benchmark-\w+ goes on"):
        run(monkeypatch, deployed(), begun()[0], Problem("can't be reached."))


def test_deleted_workflow_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match=r"was deleted while it ran.*`make restore ENVIRONMENT=prod`") as problem:
        run(monkeypatch, deployed(), begun()[0])
    assert "goes on" not in str(problem.value)


def test_detach_does_not_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run(monkeypatch, deployed(), AssertionError("watched"), detach=True)
    assert code == 0
    assert "/workflows/argo/dataplane-benchmark-" in output


def test_last_log_line_of_a_step_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    store, done = deployed(), whole()
    (node,) = (n for n in done.nodes.values() if n["templateName"] == "configure")
    monkeypatch.setattr("secrets.choice", lambda _letters: "x")
    pod = f"dataplane-benchmark-xxxxx-configure-{node['id'].rpartition('-')[2]}"
    store.put("", "pods", {"metadata": {"name": pod, "namespace": NAMESPACE}})
    store.say(NAMESPACE, pod, "switched to ebpf in 31.20 s")
    assert "configure: switched to ebpf in 31.20 s" in run(monkeypatch, store, done)[1]


def over_http(api: Api) -> UserClient:
    configuration = Configuration()
    configuration.host = api.url
    return UserClient(ApiTransport(ClusterAccess(configuration), WHERE, 5.0), NAMESPACE)


def test_lost_response_starts_no_second_run() -> None:
    store = deployed()
    with Api(store).running() as api:
        api.faults.append(Fault("cut-after", method="POST", path="workflows"))
        name = submit.choose_name()
        submit.create_run(over_http(api), {"profile": "smoke"}, name)
    assert [w["metadata"]["name"] for w in sent(store)] == [name]


def put(store: Store, phase: str) -> None:
    found = Status(phase).workflow()
    if before := store.find("argoproj.io", "workflows", NAMESPACE, RUN):
        found["metadata"]["uid"] = before["metadata"]["uid"]
    store.put("argoproj.io", "workflows", found)


@pytest.mark.parametrize("fault", [None, Fault("break", path="watch=true"), Fault("status", path="watch=true"),
                                   Fault("cut", path="watch=true")])  # fmt: skip
def test_broken_watch_is_resumed(fault: Fault | None) -> None:
    store = deployed()
    put(store, "Pending")
    with Api(store).running() as api:
        api.faults += [fault] if fault else []
        following = over_http(api).follow(WORKFLOWS, RUN, NAMESPACE)
        seen = []
        for phase in ("Running", "Succeeded"):
            seen.append(status.phase(next(following)))
            put(store, phase)
        seen += [status.phase(found) for found in itertools.islice(following, 1)]
    assert (seen[0], seen[-1]) == ("Pending", "Succeeded")


def test_expired_watch_restarts_and_deleted_workflow_ends_it() -> None:
    store = deployed()
    put(store, "Running")
    with Api(store).running() as api:
        following = over_http(api).follow(WORKFLOWS, RUN, NAMESPACE)
        next(following)
        store.compact()
        put(store, "Succeeded")
        assert status.phase(next(following)) == "Succeeded"
        store.take("argoproj.io", "workflows", NAMESPACE, RUN)
        assert list(following) == []
