"""Admission policies: what the benchmark's pods and accounts may do, enforced by the API server.

Anyone who may submit a workflow chooses its templates, inputs and patches, and anyone who obtains the token of one of
the accounts may do all that RBAC permits. RBAC knows no labels, no names of objects to be created and no fields; these
ValidatingAdmissionPolicies do. They are defined by account and label, so that they need not know the namespace.
"""

from typing import Final

from steps.cluster.kube.api.permissions import KUBE_PROXY, KUBE_SYSTEM, SERVICES_ENDPOINT, STATE, TIGERA_OPERATOR
from steps.cluster.kube.workloads.manifests import LABEL
from workflows.template.pod_policy import build_pod_policy
from workflows.template.policies import BY_ACCOUNT, LABELLED, NEW, STEP, Object, Rule, build_policy, cel_list, on

NAMESPACE: Final = "dataplane-benchmark-namespace"
CONFIG_MAPS: Final = "dataplane-benchmark-configmaps"
DELETIONS: Final = "dataplane-benchmark-deletions"
SERVICES: Final = "dataplane-benchmark-services"


def build_admission() -> Object:
    """Kubernetes' List of the policies and their bindings."""
    policies = (build_pod_policy(), _namespace(), _new_config_maps(), _deleted_pods(), _services())
    return {"apiVersion": "v1", "kind": "List", "items": [each for pair in policies for each in pair]}


def _namespace() -> tuple[Object, Object]:
    """A namespace that a deployment created is for the benchmark's pods only."""
    return build_policy(
        NAMESPACE,
        [on("CREATE UPDATE", "pods")],
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
    return build_policy(
        DELETIONS,
        [on("DELETE", "pods")],
        {"ours": BY_ACCOUNT},
        {},
        [
            Rule(
                f"request.namespace == '{KUBE_SYSTEM}' ? (has(oldObject.metadata.ownerReferences) "
                f"&& oldObject.metadata.ownerReferences.exists(o, o.kind == 'DaemonSet' && o.name == '{KUBE_PROXY}')) "
                f": ({LABELLED.format('oldObject')})",
                "the benchmark's accounts delete its own pods and kube-proxy's, no other pod",
            )
        ],
    )


def _services() -> tuple[Object, Object]:
    """A Service can take another's address, or lead to another's pods."""
    return build_policy(
        SERVICES,
        [on("CREATE DELETE", "services")],
        {"ours": BY_ACCOUNT},
        {},
        [
            Rule(
                f"request.operation == 'DELETE' ? ({LABELLED.format('oldObject')}) : ({LABELLED.format('object')})",
                "the benchmark's accounts create and delete its own Services only",
            ),
            Rule(
                "request.operation == 'DELETE' || (!has(object.spec.externalIPs) "
                "&& object.spec.type in ['ClusterIP', 'NodePort'] && has(object.spec.selector) "
                "&& object.spec.selector.size() > 0 "
                f"&& object.spec.selector.all(key, key.startsWith('{LABEL.partition('/')[0]}/')))",
                "the benchmark's Services select its own pods, and take no external address",
            ),
        ],
    )
