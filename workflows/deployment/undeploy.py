"""The verb `undeploy`: delete exactly what a deployment created, by its label. Results and secrets stay."""

from typing import Final

from analysis.console.terminal import Terminal, without_output_errors
from analysis.errors import BadInput, Unsupported
from analysis.formatting import count, listing
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import PODS, WORKFLOWS
from steps.cluster.kube.ownership import lock
from workflows.deployment.namespaces import OWN
from workflows.deployment.runs import list_unfinished
from workflows.deployment.user_client import (
    CRON_JOBS,
    DEPLOYED,
    ELSEWHERE,
    NAMESPACES,
    SELECTOR,
    UserClient,
    object_name,
)

_STOP: Final = '{"spec":{"shutdown":"Stop"}}'
"""What Argo's button Stop sets."""

_NAMED: Final = 5
"""So many runs are named at most."""


@without_output_errors()
def undeploy(
    context: str, namespace: str = "", console: Terminal | None = None, client: UserClient | None = None
) -> int:
    """Delete the benchmark from a cluster. Returns 0.

    `context`: the current one if empty. `namespace`: where it must be deployed; empty: wherever it is.

    Raises:
        BadInput: there is no such context, or the benchmark is in another namespace.
        Unsupported: a run holds the cluster's lock, or may yet take it, or the user may not delete.
    """
    client, console = client or UserClient.of(context, namespace or OWN), console or Terminal()
    if namespace:
        _refuse_elsewhere(client, namespace)
    _refuse_switched(client)
    gone = 0
    for resource in DEPLOYED:
        if resource == CRON_JOBS:  # one may have begun before the last of BEGINNINGS was gone
            _refuse_switched(client)
        for found in client.list(resource, labels=SELECTOR):
            if resource == NAMESPACES and (why := _still_used(client, found)):
                console.print(why, soft_wrap=True)
                continue
            metadata = found["metadata"]
            client.delete(resource, metadata["name"], metadata.get("namespace"), uid=metadata.get("uid", ""))
            console.print(f"deleted {object_name(found)}", soft_wrap=True)
            gone += 1
    if gone:
        console.print(f"Deleted {gone} objects. The results stay.")
    else:
        console.print(f"Nothing to delete: {client.where} has nothing that a deployment of the benchmark created.")
    return 0


def _refuse_elsewhere(client: UserClient, namespace: str) -> None:
    """Let nobody who means one namespace delete what is in another.

    Raises:
        BadInput: something of the deployment is there.
    """
    resources = [resource for resource in DEPLOYED if resource not in ELSEWHERE]
    there = [each for resource in resources for each in client.list(resource, labels=SELECTOR)]
    places = {
        each["metadata"]["name"] if each["kind"] == NAMESPACES.kind else each["metadata"].get("namespace")
        for each in there
    }
    if others := sorted(place for place in places if place not in {None, namespace}):
        raise BadInput(
            f"NAMESPACE is {namespace}, and {client.where} has the benchmark in {listing(others)}: to delete it there, "
            f"type `{client.make('undeploy', NAMESPACE=others[0])}`."
        )


def _refuse_switched(client: UserClient) -> None:
    """Let nobody take away the rights and the guard while the cluster is switched, or may yet be.

    Raises:
        Unsupported: it is.
    """
    found = lock.find_lock(client)
    if found is not None:
        raise Unsupported(
            f"{client.where} is locked by {found.owner} since {found.taken_at}, and only the benchmark can restore it: "
            "wait until that run has ended, or if it is dead, first type "
            f"`{client.restore_command}`."
        )
    # those of preflight, of a queue and of a Retry hold no lock yet, and one that was stopped may hold none any more
    if runs := list_unfinished(client):
        names = [f"{run['metadata']['namespace']}/{run['metadata']['name']}" for run in runs]
        further = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        namespace, _, name = names[0].partition("/")
        raise Unsupported(
            f"{client.where} may yet be switched by {count(len(names), 'workflow')} of the benchmark that Argo has not "
            f"ended: {listing([*names[:_NAMED], *further])}. Wait for the end, or stop each: `{client.kubectl} -n "
            f"{namespace} patch workflow {name} --type merge -p '{_STOP}'`. Where Argo no longer runs, delete it."
        )


def _still_used(client: UserClient, namespace: Object) -> str:
    """Why a namespace must stay though a deployment created it; empty: it is unused."""
    name = namespace["metadata"]["name"]
    runs, pods = client.list(WORKFLOWS, name), client.list(PODS, name)
    if not runs and not pods:
        return ""
    used = f"{count(len(runs), 'workflow')} and {count(len(pods), 'pod')}"
    return (
        f"Namespace {name} stays, since it has {used}. To delete all of it: `{client.kubectl} delete namespace {name}`"
    )
