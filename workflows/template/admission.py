"""Admission policies: what the benchmark's pods and accounts may do, enforced by the API server.

Anyone who may submit a workflow chooses its templates, inputs and patches, and anyone who obtains the token of one of
the accounts may do all that RBAC permits. RBAC knows no labels, no names of objects to be created and no fields; these
ValidatingAdmissionPolicies do. They are defined by account and label, so that they need not know the namespace.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import (
    KUBE_PROXY,
    KUBE_SYSTEM,
    SERVICES_ENDPOINT,
    STATE,
    TIGERA_OPERATOR,
    Resource,
)
from steps.cluster.kube.cnis import CNIS
from steps.cluster.kube.workloads.manifests import LABEL
from workflows.template.pod_policy import build_pod_policy
from workflows.template.policies import (
    BY_ACCOUNT,
    LABELLED,
    NEW,
    POD_CHANGES,
    STEP,
    Rule,
    build_policy,
    cel_list,
    on,
    unchanged_except,
)
from workflows.template.scale_policy import build_scale_policies
from workflows.template.workflow_policy import build_workflow_policies

NAMESPACE: Final = "dataplane-benchmark-namespace"
CONFIG_MAPS: Final = "dataplane-benchmark-configmaps"
DELETIONS: Final = "dataplane-benchmark-deletions"
PATCHES: Final = "dataplane-benchmark"
"""How the names of the policies for patched objects begin; the kind follows."""


def build_admission() -> Object:
    """Kubernetes' List of the policies and their bindings."""
    pods = (build_pod_policy(), _namespace(), _deleted_pods())
    policies = (*pods, *build_workflow_policies(), _new_config_maps(), *build_scale_policies(), *_patched_objects())
    return {"apiVersion": "v1", "kind": "List", "items": [each for pair in policies for each in pair]}


def _namespace() -> tuple[Object, Object]:
    """A namespace that a deployment created is for the benchmark's pods only."""
    return build_policy(
        NAMESPACE,
        [POD_CHANGES],
        {"new": NEW},
        {},
        [
            Rule(
                f"({STEP}) || ({LABELLED.format('object')})",
                "this namespace is for the benchmark's pods only, so that no other pod uses its accounts and Secrets",
            )
        ],
        {"matchLabels": {LABEL: "deployment"}},
    )


def _new_config_maps() -> tuple[Object, Object]:
    """RBAC can't limit the names of new objects."""
    places = {KUBE_SYSTEM: (STATE, SERVICES_ENDPOINT), TIGERA_OPERATOR: (SERVICES_ENDPOINT,)}
    permitted = cel_list(f"{namespace}/{name}" for namespace, names in places.items() for name in names)
    return build_policy(
        CONFIG_MAPS,
        [on("CREATE", "configmaps")],
        {"ours": BY_ACCOUNT},
        {},
        [
            Rule(
                f"(request.namespace + '/' + object.metadata.name) in {permitted}",
                "the benchmark's accounts create its lock and Calico's address of the API server, no other ConfigMap",
            )
        ],
    )


def _deleted_pods() -> tuple[Object, Object]:
    """RBAC knows no labels, and the names of pods are random."""
    agents = sorted(f"{namespace}/{container}" for cni in CNIS for namespace, container in cni.agents().items())
    return build_policy(
        DELETIONS,
        [on("DELETE", "pods")],
        {"ours": BY_ACCOUNT},
        {
            "daemons": "has(oldObject.metadata.ownerReferences) "
            "? oldObject.metadata.ownerReferences.filter(o, o.kind == 'DaemonSet') : []",
            "proxy": f"request.namespace == '{KUBE_SYSTEM}' && variables.daemons.exists(o, o.name == '{KUBE_PROXY}')",
            "agent": "variables.daemons.size() > 0 && oldObject.spec.containers.exists(c, "
            f"(request.namespace + '/' + c.name) in {cel_list(agents)})",
            "own": f"request.namespace != '{KUBE_SYSTEM}' && {LABELLED.format('oldObject')}",
        },
        [
            Rule(
                "variables.proxy || variables.agent || variables.own",
                "the benchmark's accounts delete its own pods, kube-proxy's and the network plugin's agents, no others",
            )
        ],
    )


def _patched_objects() -> Iterator[tuple[Object, Object]]:
    """A policy for each kind of object that a switch patches; it permits the fields that a switch sets.

    Without one, patching kube-proxy's DaemonSet or the operator's Installation is running any image on every node, and
    Felix, which runs as root there, has a hundred settings.
    """
    paths: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    resources: dict[str, dict[Resource, None]] = defaultdict(dict)
    for field in (field for cni in CNIS for field in cni.written_fields()):
        kind = field.ref.resource
        paths[kind.plural][field.path] = resources[kind.plural][kind] = None
    for plural, permitted in paths.items():
        variables, expressions = unchanged_except("object", "oldObject", list(permitted))
        names = ", ".join(".".join(path) for path in permitted)
        yield build_policy(
            f"{PATCHES}-{plural}",
            [on("UPDATE", kind.plural, kind.group, kind.version) for kind in resources[plural]],
            {"ours": BY_ACCOUNT},
            variables,
            [Rule(each, f"the benchmark's accounts set no field of {plural} but {names}") for each in expressions],
        )
