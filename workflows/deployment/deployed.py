"""What a verb that is run by hand learns from the deployment: which cluster is meant, its namespace and its image."""

import os
from collections.abc import MutableMapping

from analysis.errors import BadInput, Unsupported
from steps.cluster.kube.api.credentials.kubeconfig import read_kubeconfigs
from steps.cluster.kube.api.errors import DeniedError
from steps.cluster.kube.api.permissions import BENCHMARK, CONFIGMAPS
from steps.settings.environment import ENVIRONMENT, IMAGE, NAMESPACE
from steps.tasks.shared.pod import CONFIG_MAP
from workflows.deployment.namespaces import OWN, find_namespace
from workflows.deployment.user_client import WORKFLOW_TEMPLATES, UserClient
from workflows.template.benchmark import NAME


def use_deployment(name: str, variables: MutableMapping[str, str] = os.environ) -> str:
    """Let the steps that are run by hand use the deployment's namespace and image, unless the user names others.

    `name`: a context of the kubeconfig, or a cluster in it; or the environment under which the deployment in the
    current context stores its figures, as messages of its runs may name it. BENCHMARK_NAMESPACE and BENCHMARK_IMAGE are
    set among the variables where the deployment has them.

    Returns the context or cluster. Where no kubeconfig has it, the name itself: the steps' own connection fails alike,
    and says why.

    Raises:
        Problem: the API server gives no answer. A namespace that is merely unknown would be guessed wrong.
    """
    try:
        context = _context(name, variables)
        client = UserClient.of(context, OWN, variables)
    except (BadInput, Unsupported):
        return name
    client.namespace = variables.get(NAMESPACE, "").strip() or find_namespace(client)
    if client.namespace:
        variables[NAMESPACE] = client.namespace
        if not variables.get(IMAGE, "").strip() and (image := _image(client)):
            variables[IMAGE] = image
    return context


def _context(name: str, variables: MutableMapping[str, str]) -> str:
    try:
        return read_kubeconfigs(variables).context_of(name)
    except BadInput:
        client = UserClient.of("", OWN, variables)
        client.namespace = find_namespace(client) or OWN
        deployed = client.get(CONFIGMAPS, CONFIG_MAP, BENCHMARK) or {}
        if (deployed.get("data") or {}).get(ENVIRONMENT) != name:
            raise
        return client.context


def _image(client: UserClient) -> str:
    """The steps' image by the deployed template; empty where this user may not read it."""
    try:
        found = client.get(WORKFLOW_TEMPLATES, NAME, BENCHMARK) or {}
    except DeniedError:
        return ""
    templates = (found.get("spec") or {}).get("templates") or []
    return next((str(one["script"]["image"]) for one in templates if "script" in one), "")
