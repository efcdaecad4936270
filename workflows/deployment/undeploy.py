"""The verb `undeploy`: delete exactly what a deployment created, by its label. Results and secrets stay."""

from analysis.console.terminal import Terminal
from analysis.errors import Unsupported
from analysis.formatting import count
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import PODS, WORKFLOWS
from steps.cluster.kube.ownership import lock
from workflows.deployment.namespaces import OWN
from workflows.deployment.user_client import DEPLOYED, NAMESPACES, SELECTOR, UserClient, object_name


def undeploy(context: str, console: Terminal | None = None, client: UserClient | None = None) -> int:
    """Delete the benchmark from a cluster, whatever its namespace. Returns 0.

    Raises:
        BadInput: there is no such context.
        Unsupported: a run holds the cluster's lock, or the user may not delete.
    """
    client, console = client or UserClient.of(context, OWN), console or Terminal()
    found_lock = lock.find_lock(client)
    if found_lock is not None:
        raise Unsupported(
            f"{client.where} is locked by {found_lock.owner} since {found_lock.taken_at}, and only the benchmark can "
            "restore it: wait until that run has ended, or if it is dead, first type "
            f"`{client.restore_command}`."
        )
    gone = 0
    for resource in DEPLOYED:
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
        console.print(f"Nothing to delete: {client.where} has no benchmark that `make deploy` created.")
    return 0


def _still_used(client: UserClient, namespace: Object) -> str:
    """Why a namespace must stay though a deployment created it; empty: it is unused."""
    name = namespace["metadata"]["name"]
    runs, pods = client.list(WORKFLOWS, name), client.list(PODS, name)
    if not runs and not pods:
        return ""
    used = f"{count(len(runs), 'workflow')} and {count(len(pods), 'pod')}"
    return f"Namespace {name} stays, since it has {used}. To delete all of it: kubectl delete namespace {name}"
