"""The verb `deploy`: look at what is there, decide, apply, and say what to do next."""

from typing import Final

from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Unsupported
from steps.catalogue.environments import LAB
from steps.cluster.kube.api.permissions import OPERATOR_NAMESPACES
from steps.cluster.kube.workloads.manifests import LABEL
from steps.settings import environment as variables
from steps.tasks._pod import ACCOUNTS, IMAGE
from workflows.deployment import argo, kustomization, links
from workflows.deployment.argo import Argo
from workflows.deployment.checks import check
from workflows.deployment.kustomization import DeploymentValues
from workflows.deployment.result_store import Stores, decide_stores
from workflows.deployment.user_client import CLUSTER_ROLE_BINDINGS, NAMESPACES, Change, Object, UserClient, object_name
from workflows.flags.deploy import DeployFlags
from workflows.template import nightly

PART: Final = "deployment"
"""The value of the label LABEL by which everything that was deployed is found again."""


def deploy(asked: DeployFlags, console: Terminal | None = None, client: UserClient | None = None) -> int:
    """Put the benchmark onto a cluster; doing so twice changes nothing. Returns 0.

    Raises:
        BadInput: what is asked for makes no sense.
        Unsupported: the cluster has no Argo Workflows that would do, or this person may not deploy.
        Problem: an object could not be applied; those before it are.
    """
    check(asked)  # before anything is asked of the cluster
    kustomization.image_parts(asked.image or IMAGE)
    client = client or UserClient.of(asked.context, asked.namespace)
    console = console or Terminal()
    found = argo.find_argo(client)
    _refuse_second(client)
    stores = decide_stores(client, found, asked.results)
    decided = decide_deployment(client, asked, stores)
    console.print(f"{client.where}: {found.name} in namespace {found.namespace}.", soft_wrap=True)
    _apply(client, kustomization.build_objects(decided), console, force=asked.force)
    for note in (*found.notes, *stores.notes):
        console.print(f"Note: {note}", soft_wrap=True)
    _say_next(client, found, decided, console)
    return 0


def decide_deployment(client: UserClient, asked: DeployFlags, stores: Stores) -> DeploymentValues:
    """Everything that the kustomization needs to know.

    Raises:
        BadInput: the environment's name can't be had.
    """
    environment = asked.environment.strip() or client.where
    if environment == LAB:
        raise BadInput(f"ENVIRONMENT {LAB!r} is the lab's own name: give this cluster another, ENVIRONMENT=NAME.")
    namespace = client.get(NAMESPACES, client.namespace)
    ours = namespace is not None and (namespace["metadata"].get("labels") or {}).get(LABEL) == PART
    settings = {
        variables.ENVIRONMENT: environment,
        variables.RESULTS: stores.results,
        variables.OUTSIDE: asked.outside,
        variables.ACCEPT: asked.accept,
        variables.NOTIFY_URL: asked.notify_url,
        **({"AWS_ENDPOINT_URL": stores.endpoint_url} if stores.endpoint_url else {}),
        **({"AWS_REGION": stores.region} if stores.region else {}),
    }
    return DeploymentValues(
        namespace=client.namespace,
        image=asked.image or IMAGE,
        settings=settings,
        access=stores.access,
        secret=stores.secret,
        repository=stores.new,
        operator=all(client.get(NAMESPACES, name) is not None for name in sorted(OPERATOR_NAMESPACES)),
        brings_namespace=namespace is None or ours,
        schedule=asked.schedule,
    )


def _refuse_second(client: UserClient) -> None:
    """One cluster, one benchmark: it has one network to switch, and the cluster-wide rights have one name."""
    binding = client.get(CLUSTER_ROLE_BINDINGS, ACCOUNTS["switch"])
    places = {s.get("namespace") for s in (binding or {}).get("subjects") or []} - {client.namespace}
    if places:
        (place,) = places
        raise Unsupported(
            f"{client.where} has the benchmark in namespace {place}: deploy with NAMESPACE={place}, or take that away "
            "first by `make undeploy`."
        )


def _apply(client: UserClient, objects: list[Object], console: Terminal, *, force: bool) -> None:
    counts: dict[Change, int] = {"created": 0, "changed": 0, "unchanged": 0}
    for wanted in objects:
        change = client.apply(wanted, force=force)
        counts[change] += 1
        if change != "unchanged":
            console.print(f"{change} {object_name(wanted)}", soft_wrap=True)
    total = sum(counts.values())
    if counts["unchanged"] == total:
        console.print(f"unchanged: all {total} objects are as they should be.")
    else:
        console.print(", ".join(f"{n} {change}" for change, n in counts.items() if n) + ".")


def _say_next(client: UserClient, found: Argo, decided: DeploymentValues, console: Terminal) -> None:
    """The form's link and the three commands that a person needs next."""

    def say(text: str = "") -> None:
        console.print(text, soft_wrap=True)

    results = decided.settings[variables.RESULTS]
    say(f"Figures are kept under {decided.settings[variables.ENVIRONMENT]!r} in {results}.")
    say(
        f"Nightly: {decided.schedule or nightly.SCHEDULE} UTC, profile {nightly.PROFILE} (CronWorkflow {nightly.NAME})."
    )
    say()
    if found.ui is None:
        say("The form: no server of Argo's was found; submit by the commands below, or by `argo submit`.")
    else:
        if found.ui.forward:
            say(f"First, and as long as you look: {found.ui.forward}")
        say(f"The form: {links.form_link(found.ui.url, client.namespace, {'profile': 'smoke'})}")
    say()
    at = f"CONTEXT={client.where}" + (f" NAMESPACE={client.namespace}" if client.namespace != "argo" else "")
    say(f"    make submit {at} PROFILE=smoke    does everything work?")
    say(f"    make query RESULTS={results} QUESTION=trend    what the store says, wherever it is read")
    say(f"    make undeploy {at}    take all of this away again, but not the results")
