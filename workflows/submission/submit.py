"""The verb submit: start a run from the deployed template, and watch it to its end."""

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from analysis.addresses import shown_address
from analysis.console.commands import report_command
from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal, Text, without_output_errors
from analysis.errors import INTERRUPTED, Problem, Unsupported
from steps.catalogue.options import Settings
from steps.cluster.kube.api.errors import ConflictError, TransientError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, CONFIGMAPS, DEFAULT, INSTALLATIONS, WORKFLOWS
from steps.settings import environment, operator_cost
from steps.settings.schedule import planned_time
from steps.strict_model import faults_of
from steps.tasks.shared.pod import CONFIG_MAP
from steps.tasks.shared.step import run_id
from workflows.deployment import argo
from workflows.deployment.argo import Ui
from workflows.deployment.namespaces import OWN, find_namespace
from workflows.deployment.user_client import WORKFLOW_TEMPLATES, UserClient
from workflows.flags.run import SubmitFlags
from workflows.local.display.terminal import TerminalDisplay
from workflows.local.execution.events import Event, NodeFinished, NodeLog
from workflows.submission import status
from workflows.submission.translate import Translator
from workflows.template.benchmark import NAME

PATIENCE_S: Final = 180.0
"""For the API server to answer again: the run switches the network on the way to it."""

_TAIL_LINES: Final = 30
_ARGO_LINE: Final = re.compile(r"^time=\S+ level=\w+ .*\bargo=true|^Error: exit status \d+$|^null$")
"""Lines that Argo's executor (4.1), and Hera's runner in runs of earlier versions, add to a step's log."""

_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


@without_output_errors()
def submit(flags: SubmitFlags, console: Terminal | None = None, client: UserClient | None = None) -> int:
    """Submit and watch. Returns 0 if everything was measured, 1 if not, 130 if watching was interrupted.

    Raises:
        BadInput: a flag is invalid; nothing was submitted.
        Unsupported: the benchmark is not deployed there, or the run's first steps refused it.
        Problem: the API server refused or can't be reached (the run may continue), or the run was deleted.
    """
    given, client = client, client or UserClient.of(flags.context, flags.namespace or OWN)
    client.namespace = flags.namespace or find_namespace(client) or OWN
    console = console or Terminal()
    settings = checked_settings(client, flags)
    by_operator = _has_operator(client)
    name, is_created = choose_name(), False
    try:
        create_run(client, flags.form("submitted"), name)
        is_created = True
        ui = _ui(client)
        submitted = f"{client.namespace}/{name} is submitted"
        if settings.continues:
            sentence = f"more rounds of run {settings.continues}, whose time its first step finds out"
            console.print(f"{submitted}: {sentence}.", soft_wrap=True)
        else:
            _print_time(console, submitted, settings, by_operator=by_operator)
        if ui is not None:
            _link(console, "In the UI", ui.run(client.namespace, name), ui)
        if flags.detach:
            return 0
        watching = given or client.patient(PATIENCE_S)
        if settings.continues and (found := _settings_of_run(watching, name)) is not None:
            settings = found
            _print_time(console, f"It measures {', '.join(settings.dataplanes)}", settings, by_operator=by_operator)
        planned = planned_time(settings, by_operator=by_operator)
        display = TerminalDisplay(console, planned.expected_s, planned.rounds[1] * len(settings.dataplanes))
        ended = _watched(watching, name, display)
    except KeyboardInterrupt:  # on standard error, since Ctrl-C also ends what the output is piped into
        print_notice(f"No longer watching. {_continues(client, name, is_created=is_created)}")
        return INTERRUPTED
    except Problem as problem:
        if not is_created and not isinstance(problem, TransientError):  # it was refused
            raise
        raise Problem(f"{problem} {_continues(client, name, is_created=is_created)}") from None
    if ended is None:
        raise Problem(
            f"workflow {client.namespace}/{name} was deleted while it ran, so it does not put the cluster back: "
            f"`{client.restore_command}` does."
        )
    return conclude(client, ended, ui, console, settings.results)


def build_workflow(name: str, fields: Mapping[str, str]) -> Object:
    """A Workflow of the deployed template, with these fields of the form."""
    return {
        "metadata": {"name": name, "labels": {"workflows.argoproj.io/workflow-template": NAME}},
        "spec": {
            "workflowTemplateRef": {"name": NAME},
            "arguments": {"parameters": [{"name": key, "value": value} for key, value in fields.items()]},
        },
    }


def conclude(client: UserClient, ended: Object, ui: Ui | None, console: Terminal, results: str) -> int:
    """Print the result of a run that has ended, and where its report is. Returns the exit code.

    Raises:
        Unsupported: its first steps refused it; the sentence is theirs.
    """
    refused = status.refusal(ended)
    if refused is not None:
        raise Unsupported(refused)
    result = status.reported_result(ended)
    console.print()
    if result is None:
        console.print("The run has no report.")
        for failure in status.failures(ended) or [f"It is {status.phase(ended)}."]:
            console.print(Text(failure, style="red"), soft_wrap=True)
        return 1
    name = ended["metadata"]["name"]
    console.print(Text(result.headline, style="bold"), soft_wrap=True)
    for failure in dict.fromkeys(status.failures(ended)):
        console.print(Text(f"Failed: {failure}", style="red"), soft_wrap=True)
    console.print()
    if ui is not None:
        _link(console, "Report", ui.artifact(client.namespace, name, result.node, "report"), ui)
    run = run_id(name, ended["metadata"]["uid"])
    console.print(f"Store: {report_command(shown_address(results), run)}", soft_wrap=True)
    return 0 if result.outcome == "measured" and status.phase(ended) == "Succeeded" else 1


def checked_settings(client: UserClient, flags: SubmitFlags) -> Settings:
    """The settings of a run, checked as its first step does, so that a typing error costs no pod.

    Raises:
        BadInput: a flag is invalid.
        Unsupported: the benchmark is not deployed there.
    """
    config_map = client.get(CONFIGMAPS, CONFIG_MAP, BENCHMARK)
    if config_map is None or client.get(WORKFLOW_TEMPLATES, NAME, BENCHMARK) is None:
        raise Unsupported(
            f"{client.where} has no benchmark in namespace {client.namespace}: deploy it first by "
            f"`{client.make('deploy', IMAGE='NAME:TAG')} ...`, or name the namespace where it is."
        )
    data = config_map.get("data") or {}
    return flags.chosen(environment.environment(data), environment.results(data))


def choose_name() -> str:
    """A run's name, before it is created: what is interrupted meanwhile can say which run may have begun."""
    return f"{NAME}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}"


def create_run(client: UserClient, fields: Mapping[str, str], name: str) -> None:
    """Create it under this name. Repeated after a lost response, the call must not start a second run.

    Raises:
        Problem: the API server refused, or gave no answer (TransientError).
    """
    try:
        client.create(WORKFLOWS, build_workflow(name, fields), BENCHMARK)
    except ConflictError:
        if client.get(WORKFLOWS, name, BENCHMARK) is None:
            raise


def _has_operator(client: UserClient) -> bool:
    """Whether the Tigera operator installed Calico; for a user who may not read that, the run's preflight says it."""
    try:
        return client.get(INSTALLATIONS, DEFAULT) is not None
    except Problem:
        return False


def _ui(client: UserClient) -> Ui | None:
    """The UI, if it can be found; an error must not end the command, since the run has begun."""
    try:
        return argo.find_argo(client).ui
    except Problem:
        return None


def _print_time(console: Terminal, what: str, settings: Settings, *, by_operator: bool) -> None:
    console.print(f"{what}: {planned_time(settings, by_operator=by_operator).sentence}.", soft_wrap=True)
    if by_operator and (sentence := operator_cost.sentence(settings)) is not None:
        console.print(sentence, soft_wrap=True)


def _settings_of_run(client: UserClient, name: str) -> Settings | None:
    """What a run measures, as its first step found out; None: it ended or was deleted before that.

    Raises:
        Problem: the API server can't be reached, or these are no settings.
    """
    for found in client.follow(WORKFLOWS, name, client.namespace):
        text = status.validated_settings(found)
        if text is not None:
            try:
                return Settings.model_validate_json(text)
            except ValidationError as error:
                reason = "; ".join(faults_of(error))
                raise Problem(
                    f"workflow {client.namespace}/{name} has settings that can't be read: {reason}."
                ) from None
        if status.has_ended(found):
            return None
    return None


def _watched(client: UserClient, name: str, display: TerminalDisplay) -> Object | None:
    """Show the run until it ends; returns it as it is then. None: it was deleted meanwhile.

    Raises:
        Problem: the API server can't be reached.
    """
    translator = Translator()
    with display:
        for found in client.follow(WORKFLOWS, name, client.namespace):
            nodes = status.nodes(found)
            for event in translator.events(found):
                if isinstance(event, NodeFinished) and nodes.get(event.node, {}).get("type") == "Pod":
                    _show_last_line(client, name, nodes[event.node], display)
                display(event)
            if status.has_ended(found):
                return found
    return None


def _show_last_line(
    client: UserClient, workflow_name: str, node: dict[str, Any], show: Callable[[Event], None]
) -> None:
    """Show the last line of a step's log, its result. The pod may be deleted, or its log not permitted."""
    try:
        log = client.log(
            status.pod_name(workflow_name, node), BENCHMARK, container="main", tail_lines=_TAIL_LINES, timestamps=False
        )
    except Problem:
        return
    if found := last_line(log.decode(errors="replace")):
        show(NodeLog(node["id"], found))


def last_line(log: str) -> str:
    """The last line of the step's own; empty if there is none. Argo's executor logs to the same stream."""
    own = [line.strip() for line in log.splitlines() if line.strip() and not _ARGO_LINE.search(line)]
    return own[-1] if own else ""


def _link(console: Terminal, what: str, url: str, ui: Ui) -> None:
    console.print(f"{what}: {url}" + (f"  (needs: {ui.forward})" if ui.forward else ""), soft_wrap=True)


def _continues(client: UserClient, name: str, *, is_created: bool) -> str:
    """That the run goes on, as far as it has begun, and how to stop it."""
    goes_on = "goes on" if is_created else "may have begun, and then it goes on"
    patch = '{"spec":{"shutdown":"Stop"}}'
    return (
        f"The run {name} {goes_on}. To stop it, keep what was measured and restore the cluster: `{client.argo} -n "
        f"{client.namespace} stop {name}`, or `{client.kubectl} -n {client.namespace} patch workflow {name} --type "
        f"merge -p '{patch}'`."
    )
