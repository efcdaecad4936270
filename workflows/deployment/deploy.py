"""The verb `deploy`: find what the cluster has, decide, apply, and print the next commands."""

import base64
from collections import Counter

from analysis.console.commands import question_command
from analysis.console.terminal import Terminal, without_output_errors
from analysis.errors import BadInput, Unsupported
from steps.catalogue.environments import LAB
from steps.cluster.kube.api.nodes import url_host
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import DEFAULT, ENDPOINTSLICES, OPERATOR_NAMESPACES, Resource
from steps.cluster.kube.ownership.lock import find_lock
from steps.cluster.kube.ownership.takeover import restorer_at_work
from steps.settings import environment as variables
from steps.tasks.guard import MINUTES, PUSHGATEWAY
from steps.tasks.notify import SECRET
from steps.tasks.shared.pod import IMAGE
from workflows.deployment import argo, kustomization
from workflows.deployment.admission import choose_admission, permitted_images
from workflows.deployment.argo import Argo
from workflows.deployment.checks import check
from workflows.deployment.kustomization import DeploymentValues
from workflows.deployment.namespaces import OWN, ChosenNamespace, choose_namespace
from workflows.deployment.result_store import ResultStore, choose_store
from workflows.deployment.user_client import (
    CRON_JOBS,
    NAMESPACES,
    POLICIES,
    POLICY_BINDINGS,
    SECRETS,
    SELECTOR,
    ApplyOutcome,
    UserClient,
    build_secret,
    is_deployed,
    object_name,
)
from workflows.flags.deploy import GUARD_OFF, DeployFlags
from workflows.template import guard, nightly
from workflows.template.benchmark import NAME


@without_output_errors()
def deploy(flags: DeployFlags, console: Terminal | None = None, client: UserClient | None = None) -> int:
    """Deploy the benchmark to a cluster; a second time changes nothing. Returns 0.

    Raises:
        BadInput: a flag is invalid.
        Unsupported: the cluster has no suitable Argo Workflows, the user may not deploy, or the guard that shall go
            is putting the cluster back.
        Problem: an object could not be applied; those before it are.
    """
    check(flags)
    kustomization.image_parts(flags.image or IMAGE)
    client = client or UserClient.of(flags.context, flags.namespace or OWN)
    console = console or Terminal()
    found = argo.find_argo(client)
    namespace = choose_namespace(client, found, flags.namespace)
    client.namespace = namespace.name
    store = choose_store(client, found, flags.results, owned=namespace.owned)
    admission = choose_admission(client, flags)
    values = choose_values(client, found, flags, store, namespace, admission.mode)
    if not values.guard:
        _refuse_guard_at_work(client)
    console.print(f"{client.where}: {found.name} in namespace {found.namespace}.", soft_wrap=True)
    address = _address_secret(client.namespace, flags.notify_url.strip())
    _apply(client, [*kustomization.build_objects(values), *store.secrets, *address], console, force=flags.force)
    if not address:
        _delete_address(client, console)
    if admission.mode == "off":
        _delete(client, (POLICY_BINDINGS, POLICIES), console)
    if not values.guard:
        _refuse_guard_at_work(client)  # it may have begun meanwhile
        _delete(client, (CRON_JOBS,), console)
    for note in (*found.notes, *namespace.notes, *store.notes, *admission.notes):
        console.print(f"Note: {note}", soft_wrap=True)
    _print_next_steps(client, found, values, console)
    return 0


def choose_values(
    client: UserClient, found: Argo, flags: DeployFlags, store: ResultStore, namespace: ChosenNamespace, admission: str
) -> DeploymentValues:
    """Everything that the kustomization needs.

    Raises:
        BadInput: the environment has the lab's name.
    """
    environment = flags.environment.strip() or client.where
    if environment == LAB:
        raise BadInput(f"ENVIRONMENT {LAB!r} is the lab's own name: give this cluster another, ENVIRONMENT=NAME.")
    minutes = 0 if flags.guard.strip() == GUARD_OFF else int(flags.guard.strip() or guard.MINUTES_BETWEEN)
    settings = {
        variables.ENVIRONMENT: environment,
        variables.CONTEXT: client.context,
        variables.RESULTS: store.results,
        variables.OUTSIDE: flags.outside,
        variables.ACCEPT: flags.accept,
        variables.API_SERVERS: ",".join(_api_servers(client)),
        variables.SITE: flags.site.strip(),
        PUSHGATEWAY: flags.pushgateway.strip(),
        MINUTES: str(minutes),
        **({"AWS_ENDPOINT_URL": store.endpoint_url} if store.endpoint_url else {}),
        **({"AWS_REGION": store.region} if store.region else {}),
    }
    return DeploymentValues(
        namespace=client.namespace,
        image=flags.image or IMAGE,
        settings=settings,
        store=store,
        operator=all(client.get(NAMESPACES, name) is not None for name in sorted(OPERATOR_NAMESPACES)),
        brings_namespace=namespace.owned,
        schedule=flags.schedule.strip(),
        images=permitted_images(client, flags.image or IMAGE),
        executor=found.executor,
        admission=admission,
        guard=minutes,
    )


def _refuse_guard_at_work(client: UserClient) -> None:
    """Let GUARD=off delete no guard in the middle of a restore: with its CronJob Kubernetes deletes its pod.

    Raises:
        Unsupported: a guard puts the cluster back.
    """
    held = find_lock(client)
    found = restorer_at_work(client, held, held.owner) if held is not None else None
    if found is not None and found.owner.is_guard:
        raise Unsupported(
            f"{client.where} is being put back by {found.owner} since {found.since.isoformat()}, which GUARD=off would "
            "end in the middle: deploy when that has ended."
        )


def _api_servers(client: UserClient) -> list[str]:
    """The API server's own addresses, HOST:PORT; the deployment goes on without where the user may not read them."""
    try:
        slices = client.list(ENDPOINTSLICES, DEFAULT, labels="kubernetes.io/service-name=kubernetes")
    except Unsupported:
        return []
    return sorted(
        f"{url_host(address)}:{port['port']}"
        for found in slices
        for port in found.get("ports") or []
        for endpoint in found.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    )


def _address_secret(namespace: str, url: str) -> list[Object]:
    """The Secret of the address that verdicts are posted to; none for an empty one. Who has it may post to it."""
    return [build_secret(namespace, SECRET, {"url": base64.b64encode(url.encode()).decode("ascii")})] if url else []


def _delete_address(client: UserClient, console: Terminal) -> None:
    """Delete the Secret of an earlier deployment, not one that the user created."""
    found = client.get(SECRETS, SECRET, client.namespace)
    if found is not None and is_deployed(found):
        client.delete(SECRETS, SECRET, client.namespace, uid=found["metadata"].get("uid", ""))
        console.print(f"deleted {object_name(found)}, since NOTIFY_URL is empty", soft_wrap=True)


def _delete(client: UserClient, resources: tuple[Resource, ...], console: Terminal) -> None:
    """What an earlier deployment created of these kinds."""
    for resource in resources:
        for found in client.list(resource, labels=SELECTOR):
            client.delete(resource, found["metadata"]["name"], found["metadata"].get("namespace"))
            console.print(f"deleted {object_name(found)}", soft_wrap=True)


def _apply(client: UserClient, objects: list[Object], console: Terminal, *, force: bool) -> None:
    counts: Counter[ApplyOutcome] = Counter()
    for wanted in objects:
        change = client.apply(wanted, force=force)
        counts[change] += 1
        if change != "unchanged":
            console.print(f"{change} {object_name(wanted)}", soft_wrap=True)
    if counts["unchanged"] == counts.total():
        console.print(f"unchanged: all {counts.total()} objects are as they should be.")
    else:
        console.print(", ".join(f"{n} {change}" for change, n in counts.items()) + ".")


def _print_next_steps(client: UserClient, found: Argo, values: DeploymentValues, console: Terminal) -> None:
    """The form's link and the three commands that a user needs next."""
    results = values.settings[variables.RESULTS]
    namespace = client.namespace if client.namespace != OWN else ""
    submit = f"{client.argo} -n {client.namespace} submit --from workflowtemplate/{NAME}"
    lines = [
        f"Results are stored under {values.settings[variables.ENVIRONMENT]!r} in {results}.",
        f"Nightly: {values.schedule or nightly.SCHEDULE} UTC, profile {nightly.PROFILE} (CronWorkflow {nightly.NAME}).",
        "",
    ]
    if found.ui is None:
        lines.append(f"The form: no server of Argo's was found; submit by the commands below, or by `{submit}`.")
    else:
        lines += [f"First, and while you use it: {found.ui.forward}"] if found.ui.forward else []
        lines.append(f"The form: {found.ui.form(client.namespace, {'profile': 'smoke'})}")
    lines += [
        "",
        f"    {client.make('submit', NAMESPACE=namespace, PROFILE='smoke')}    does everything work?",
        f"    {question_command(results, 'trend')}    a question to the store, from wherever it can be read",
        f"    {client.make('undeploy', NAMESPACE=namespace)}    delete all of this again, but not the results",
    ]
    console.print("\n".join(lines), soft_wrap=True)
