"""The verb `deploy`: look at what is there, decide, apply, and say what to do next."""

from typing import Final

from analysis.errors import BadInput, Unfit
from analysis.terminal import Terminal
from steps import variables
from steps.catalogue.environments import LAB
from steps.cluster.kube.permissions import OPERATOR_NAMESPACES
from steps.cluster.kube.pods import LABEL
from steps.tasks.pod import ACCOUNTS, IMAGE
from workflows import nightly
from workflows.asked import Asked
from workflows.deployment import argo, links, overlay
from workflows.deployment.argo import Argo
from workflows.deployment.checks import check
from workflows.deployment.overlay import Decided
from workflows.deployment.person import (
    CLUSTER_ROLE_BINDINGS,
    NAMESPACES,
    Change,
    Object,
    Person,
    called,
)
from workflows.deployment.stores import Stores, decide_stores

PART: Final = "deployment"
"""The value of the label LABEL by which everything that was deployed is found again."""


def deploy(asked: Asked, console: Terminal | None = None, client: Person | None = None) -> int:
    """Put the benchmark onto a cluster; doing so twice changes nothing. Returns 0.

    Raises:
        BadInput: what is asked for makes no sense.
        Unfit: the cluster has no Argo Workflows that would do, or this person may not deploy.
        Problem: an object could not be applied; those before it are.
    """
    check(asked)  # before anything is asked of the cluster
    overlay.image_parts(asked.image or IMAGE)
    client = client or Person.of(asked.context, asked.namespace)
    console = console or Terminal()
    found = argo.find(client)
    _refuse_second(client)
    stores = decide_stores(client, found, asked.results)
    decided = decide(client, asked, stores)
    console.print(f"{client.where}: {found.name} in namespace {found.namespace}.", soft_wrap=True)
    _apply(client, overlay.build(decided), console, force=asked.force)
    for note in (*found.notes, *stores.notes):
        console.print(f"Note: {note}", soft_wrap=True)
    _say_next(client, found, decided, console)
    return 0


def decide(client: Person, asked: Asked, stores: Stores) -> Decided:
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
    return Decided(
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


def _refuse_second(client: Person) -> None:
    """One cluster, one benchmark: it has one network to switch, and the cluster-wide rights have one name."""
    binding = client.get(CLUSTER_ROLE_BINDINGS, ACCOUNTS["switch"])
    places = {s.get("namespace") for s in (binding or {}).get("subjects") or []} - {client.namespace}
    if places:
        (place,) = places
        raise Unfit(
            f"{client.where} has the benchmark in namespace {place}: deploy with NAMESPACE={place}, or take that away "
            "first by `make undeploy`."
        )


def _apply(client: Person, objects: list[Object], console: Terminal, *, force: bool) -> None:
    counts: dict[Change, int] = {"created": 0, "changed": 0, "unchanged": 0}
    for wanted in objects:
        change = client.apply(wanted, force=force)
        counts[change] += 1
        if change != "unchanged":
            console.print(f"{change} {called(wanted)}", soft_wrap=True)
    total = sum(counts.values())
    if counts["unchanged"] == total:
        console.print(f"unchanged: all {total} objects are as they should be.")
    else:
        console.print(", ".join(f"{n} {change}" for change, n in counts.items() if n) + ".")


def _say_next(client: Person, found: Argo, decided: Decided, console: Terminal) -> None:
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
        say(f"The form: {links.form(found.ui.url, client.namespace, {'profile': 'smoke'})}")
    say()
    at = f"CONTEXT={client.where}" + (f" NAMESPACE={client.namespace}" if client.namespace != "argo" else "")
    say(f"    make submit {at} PROFILE=smoke    does everything work?")
    say(f"    make query RESULTS={results} QUESTION=trend    what the store says, wherever it is read")
    say(f"    make undeploy {at}    take all of this away again, but not the results")
