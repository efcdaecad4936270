"""The verb `undeploy`: take away exactly what a deployment brought, by its label. Results and secrets stay."""

from analysis.console.terminal import Terminal
from analysis.errors import Unsupported
from steps.cluster.kube import lock
from steps.cluster.kube.api.permissions import PODS, WORKFLOWS
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED
from workflows.deployment.deploy import PART
from workflows.deployment.user_client import DEPLOYED, NAMESPACES, Object, UserClient, object_name

SELECTOR = f"{NAME}={NAMED},{LABEL}={PART}"


def undeploy(context: str, console: Terminal | None = None, client: UserClient | None = None) -> int:
    """Take the benchmark off a cluster, in whichever namespace it is. Returns 0.

    Raises:
        BadInput: there is no such context.
        Unsupported: a run holds the cluster, or this person may not delete.
    """
    client, console = client or UserClient.of(context, "argo"), console or Terminal()
    held = lock.find_lock(client)
    if held is not None:
        raise Unsupported(
            f"{client.where} is held by {held.owner} since {held.taken_at}, and only the benchmark knows what it was "
            f"like before: wait until that run has ended, or if it is dead, type `make restore ENVIRONMENT="
            f"{client.where}` first."
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
        console.print(f"{gone} objects are gone. The results are where they were.")
    else:
        console.print(f"Nothing to take away: {client.where} has no benchmark that `make deploy` brought.")
    return 0


def _still_used(client: UserClient, namespace: Object) -> str:
    """Why a namespace must stay though a deployment brought it; empty: nobody would miss it."""
    name = namespace["metadata"]["name"]
    runs, pods = client.list(WORKFLOWS, name), client.list(PODS, name)
    if not runs and not pods:
        return ""
    return (
        f"Namespace {name} stays, since it holds {len(runs)} workflows and {len(pods)} pods. To take all of it away: "
        f"kubectl delete namespace {name}"
    )
