"""The address that verdicts are posted to, in a Secret: whoever has a webhook's address may post to it."""

import base64

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED
from steps.tasks.notify import SECRET
from workflows.deployment.user_client import PART, SECRETS, UserClient, object_name


def build_secret(namespace: str, url: str) -> list[Object]:
    """The Secret for an address; none for an empty one."""
    if not url:
        return []
    metadata = {"name": SECRET, "namespace": namespace, "labels": {NAME: NAMED, LABEL: PART}}
    data = {"url": base64.b64encode(url.encode()).decode("ascii")}
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}]


def delete_secret(client: UserClient) -> str:
    """Delete the Secret of an earlier deployment, not one that the user created; returns its name, if there was one."""
    found = client.get(SECRETS, SECRET, client.namespace)
    if found is None or (found["metadata"].get("labels") or {}).get(LABEL) != PART:
        return ""
    client.delete(SECRETS, SECRET, client.namespace, uid=found["metadata"].get("uid", ""))
    return object_name(found)
