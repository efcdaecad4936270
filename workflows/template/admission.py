"""Admission policies: what the benchmark's pods and accounts may do, enforced by the API server.

Whoever may submit a workflow chooses its templates, inputs and patches, and whoever obtains the token of one of the
accounts may do all that RBAC permits. RBAC knows no labels, no names of objects to be created and no fields; these
ValidatingAdmissionPolicies do. They are defined by account and label, so that they need not know the namespace.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from steps.cluster.kube.api.permissions import KUBE_PROXY, KUBE_SYSTEM, SERVICES_ENDPOINT, STATE, TIGERA_OPERATOR
from steps.cluster.kube.workloads import connectivity, probe_pods
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED, TRIALS, USER
from steps.tasks._pod import ACCOUNTS, IMAGE
from workflows.template import benchmark

Object = dict[str, Any]

PODS: Final = "dataplane-benchmark-pods"
NAMESPACE: Final = "dataplane-benchmark-namespace"
CONFIG_MAPS: Final = "dataplane-benchmark-configmaps"
DELETIONS: Final = "dataplane-benchmark-deletions"
SERVICES: Final = "dataplane-benchmark-services"

IMAGES: Final = "images"
EXECUTORS: Final = "executor"
"""Variables of the policy for pods that a deployment fills in, as JSON: a list of images, and a repository."""

EXECUTOR: Final = "quay.io/argoproj/argoexec"
"""The repository of Argo's executor, unless a deployment names another."""

HOST_NETWORK: Final = (TRIALS, probe_pods.PART, connectivity.REACH, connectivity.CHECK, connectivity.OUTSIDE)
"""The parts of the benchmark with pods in the node's network: their traffic, or their probe of it, begins there."""

_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_ARGO: Final = ("init", "wait", "supervisor")
"""Containers that Argo adds to a step's pod."""

_CODE_IN_VARIABLES: Final = (
    "^(PYTHON(HOME|PATH|STARTUP|INSPECT|BREAKPOINT|USERBASE|PLATLIBDIR|PYCACHEPREFIX|WARNINGS)|LD_.*|KUBE.*|PATH|HOME)$"
)
"""Environment variables that make Python, the loader or the API client read other files."""

_MOUNTS: Final = r"^(/var)?/run/secrets(/|$)|^/etc/(ssl|pki)(/|$)|^/usr(/local)?/share/ca-certificates(/|$)"
"""Where a step's container may have files that Argo did not put there: tokens and certificates, never code."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must be true, and the sentence for the user where it is not."""

    expression: str
    message: str

    def to_dict(self) -> Object:
        """As a policy has it."""
        return {"expression": self.expression, "message": self.message}


def build_admission() -> Object:
    """Kubernetes' List of the policies and their bindings."""
    policies = (_pods(), _namespace(), _new_config_maps(), _deleted_pods(), _services())
    return {"apiVersion": "v1", "kind": "List", "items": [each for pair in policies for each in pair]}


def _cel(values: Iterable[str]) -> str:
    return json.dumps(list(values))


def _policy(
    name: str,
    resources: list[Object],
    conditions: dict[str, str],
    variables: dict[str, str],
    rules: Iterable[Rule],
    selector: Object | None = None,
) -> tuple[Object, Object]:
    """A policy and its binding, which denies."""
    metadata = {"name": name, "labels": {NAME: NAMED}}
    match = {"matchResources": {"namespaceSelector": selector}} if selector else {}
    return (
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "variables": [{"name": key, "expression": value} for key, value in variables.items()],
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": resources},
                "matchConditions": [{"name": key, "expression": value} for key, value in conditions.items()],
                "validations": [rule.to_dict() for rule in rules],
            },
        },
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"], **match},
        },
    )


def _resources(operations: str, *plurals: str) -> Object:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": operations.split(), "resources": list(plurals)}


_BY_ACCOUNT: Final = (
    f"request.userInfo.username.matches('^system:serviceaccount:[^:]+:({'|'.join(ACCOUNTS.values())})$')"
)
_STEP: Final = f"has(object.spec.serviceAccountName) && object.spec.serviceAccountName in {_cel(ACCOUNTS.values())}"
_LABELLED: Final = (
    f"has({{0}}.metadata.labels) && '{NAME}' in {{0}}.metadata.labels && {{0}}.metadata.labels['{NAME}'] == '{NAMED}'"
)
_NEW: Final = "request.operation == 'CREATE' || object.spec != oldObject.spec"
"""Labels and annotations of a running pod may change: Argo's controller notes there that it has read it."""


def _entry_points() -> str:
    """CEL's map from an account to the functions that its steps run, as Hera's runner names them."""
    found: dict[str, list[str]] = defaultdict(list)
    for template in benchmark.build_template().to_dict()["spec"]["templates"]:
        if "script" in template:
            arguments = template["script"]["args"]
            found[template["serviceAccountName"]].append(arguments[arguments.index("-e") + 1])
    return json.dumps({account: sorted(names) for account, names in sorted(found.items())})


def _pods() -> tuple[Object, Object]:
    """The benchmark's own pods, Argo's step pods included."""
    variables = {
        IMAGES: json.dumps([IMAGE]),
        EXECUTORS: json.dumps(EXECUTOR),
        "step": _STEP,
        "all": "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
        "own": f"variables.all.filter(c, !(variables.step && c.name in {_cel(_ARGO)}))",
        "argo": f"variables.all.filter(c, variables.step && c.name in {_cel(_ARGO)})",
        "volumes": "has(object.spec.volumes) ? object.spec.volumes : []",
        "entry_points": _entry_points(),
        "part": f"has(object.metadata.labels) && '{LABEL}' in object.metadata.labels "
        f"? object.metadata.labels['{LABEL}'] : ''",
    }
    return _policy(
        PODS,
        [_resources("CREATE UPDATE", "pods")],
        {"new": _NEW, "ours": f"({_STEP}) || ({_LABELLED.format('object')}) || {_BY_ACCOUNT}"},
        variables,
        (*_images(), *_commands(), *_variables(), *_privileges(), *_volumes(), *_networks_and_tokens()),
    )


def _images() -> Iterable[Rule]:
    yield Rule(
        "variables.own.all(c, c.image in variables.images)",
        "the benchmark's pods run the deployed image only: deploy again to change it",
    )
    yield Rule(
        "variables.argo.all(c, c.image.startsWith(variables.executor + ':') "
        "|| c.image.startsWith(variables.executor + '@'))",
        "Argo's containers in a step's pod run Argo's executor only: deploy again if its image has moved",
    )


def _commands() -> Iterable[Rule]:
    yield Rule(
        "variables.argo.all(c, has(c.command) && c.command.size() > 1 && c.command[0] == 'argoexec' "
        "&& c.command[1] == c.name && !has(c.args))",
        "Argo's containers in a step's pod run their own command only",
    )
    yield Rule(
        "!variables.step || variables.own.all(c, c.name == 'main' && has(c.command) && c.command.size() > 3 "
        "&& c.command[0] in ['/var/run/argo/argoexec', '/argo-bin/bin/argoexec'] && c.command[1] == 'emissary' "
        "&& c.command[c.command.size() - 2] == '--' && c.command[c.command.size() - 1] == 'python' "
        "&& has(c.args) && c.args.size() == 5 && c.args[0] == '-m' && c.args[1] == 'hera.workflows.runner' "
        "&& c.args[2] == '-e' && c.args[3] in variables.entry_points[object.spec.serviceAccountName] "
        "&& c.args[4] == '/argo/staging/script' && !has(c.workingDir))",
        "a step's pod runs a step of the benchmark only, under that step's own service account",
    )
    yield Rule(
        "!variables.step || variables.own.all(c, !has(c.lifecycle) && !has(c.livenessProbe) && !has(c.readinessProbe) "
        "&& !has(c.startupProbe))",
        "a step's pod has no hooks and no probes",
    )


def _variables() -> Iterable[Rule]:
    yield Rule(
        "variables.own.all(c, !has(c.envFrom) && (!has(c.env) || c.env.all(e, "
        f"!e.name.matches('{_CODE_IN_VARIABLES}'))))",
        "the benchmark's pods take no environment from whole ConfigMaps or Secrets, and no variable that loads code",
    )
    yield Rule(
        "variables.step || variables.own.all(c, !has(c.env) || c.env.all(e, !has(e.valueFrom) "
        "|| !has(e.valueFrom.secretKeyRef)))",
        "the benchmark's servers and probes read no Secret",
    )


def _privileges() -> Iterable[Rule]:
    yield Rule(
        "variables.own.all(c, has(c.securityContext) "
        "&& has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation "
        "&& has(c.securityContext.readOnlyRootFilesystem) && c.securityContext.readOnlyRootFilesystem "
        "&& has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) "
        "&& 'ALL' in c.securityContext.capabilities.drop)",
        "the benchmark's containers drop all capabilities, escalate nothing and have a read-only root",
    )
    yield Rule(
        "variables.all.all(c, !has(c.securityContext) || ("
        "(!has(c.securityContext.privileged) || !c.securityContext.privileged) "
        "&& (!has(c.securityContext.capabilities) || !has(c.securityContext.capabilities.add) "
        "|| c.securityContext.capabilities.add.size() == 0) "
        "&& (!has(c.securityContext.runAsUser) || c.securityContext.runAsUser != 0) "
        "&& (!has(c.securityContext.runAsNonRoot) || c.securityContext.runAsNonRoot) "
        "&& (!has(c.securityContext.procMount) || c.securityContext.procMount == 'Default') "
        "&& (!has(c.securityContext.seccompProfile) || c.securityContext.seccompProfile.type != 'Unconfined')))",
        "no container of the benchmark's pods is privileged, adds a capability or runs as root",
    )
    yield Rule(
        "has(object.spec.securityContext) "
        "&& has(object.spec.securityContext.runAsNonRoot) && object.spec.securityContext.runAsNonRoot "
        f"&& has(object.spec.securityContext.runAsUser) && object.spec.securityContext.runAsUser == {USER} "
        "&& has(object.spec.securityContext.seccompProfile) "
        "&& object.spec.securityContext.seccompProfile.type == 'RuntimeDefault' "
        "&& (!has(object.spec.securityContext.sysctls) || object.spec.securityContext.sysctls.size() == 0)",
        f"the benchmark's pods run as user {USER} with the runtime's seccomp profile and no sysctls",
    )
    yield Rule(
        "(!has(object.spec.hostPID) || !object.spec.hostPID) && (!has(object.spec.hostIPC) || !object.spec.hostIPC)",
        "the benchmark's pods share no namespace of the node but its network",
    )


def _volumes() -> Iterable[Rule]:
    yield Rule(
        "variables.volumes.all(v, has(v.emptyDir) || has(v.configMap) || has(v.downwardAPI) || has(v.projected) "
        "|| (variables.step && has(v.secret)) || (variables.step && has(v.image) "
        "&& (v.image.reference.startsWith(variables.executor + ':') "
        "|| v.image.reference.startsWith(variables.executor + '@'))))",
        "the benchmark's pods mount no path of the node, no disk and no driver's volume; only steps mount Secrets",
    )
    yield Rule(
        "!variables.step || variables.own.all(c, !has(c.volumeMounts) || c.volumeMounts.all(m, "
        f"(m.mountPath.matches('{_MOUNTS}') && !m.mountPath.contains('..')) "
        "|| variables.volumes.exists(v, v.name == m.name && (has(v.emptyDir) "
        "|| (has(v.image) && m.mountPath == '/argo-bin')))))",
        "a step's container mounts tokens and certificates only, beside Argo's own folders",
    )


def _networks_and_tokens() -> Iterable[Rule]:
    yield Rule(
        "!has(object.spec.hostNetwork) || !object.spec.hostNetwork "
        "|| (variables.step ? variables.own.all(c, has(c.args) && c.args.size() > 3 "
        "&& c.args[3] == 'steps.tasks.measure:measure') "
        f": variables.part in {_cel(HOST_NETWORK)})",
        "only measuring steps and the pods that serve or probe them use the node's network",
    )
    yield Rule(
        "variables.step || (has(object.spec.automountServiceAccountToken) "
        "&& !object.spec.automountServiceAccountToken && variables.volumes.all(v, !has(v.projected) "
        "|| !has(v.projected.sources) || v.projected.sources.all(s, !has(s.serviceAccountToken) && !has(s.secret))))",
        "the benchmark's servers and probes have no service account token",
    )
    yield Rule(
        f"!({_BY_ACCOUNT}) || !variables.step",
        "the benchmark's accounts create no pod that runs under one of them",
    )


def _namespace() -> tuple[Object, Object]:
    """A namespace that a deployment created is for the benchmark's pods only."""
    return _policy(
        NAMESPACE,
        [_resources("CREATE UPDATE", "pods")],
        {"new": _NEW},
        {},
        [
            Rule(
                f"({_STEP}) || ({_LABELLED.format('object')})",
                "this namespace is for the benchmark's pods only, so that no other pod uses its accounts and Secrets",
            )
        ],
        {"matchLabels": {LABEL: "deployment"}},
    )


def _new_config_maps() -> tuple[Object, Object]:
    """RBAC can't limit the names of new objects."""
    endpoint = [f"{namespace}/{SERVICES_ENDPOINT}" for namespace in (KUBE_SYSTEM, TIGERA_OPERATOR)]
    return _policy(
        CONFIG_MAPS,
        [_resources("CREATE", "configmaps")],
        {"ours": _BY_ACCOUNT},
        {},
        [
            Rule(
                f"(request.namespace + '/' + object.metadata.name) in {_cel([f'{KUBE_SYSTEM}/{STATE}', *endpoint])}",
                "the benchmark's accounts create its lock and Calico's address of the API server, no other ConfigMap",
            )
        ],
    )


def _deleted_pods() -> tuple[Object, Object]:
    """RBAC knows no labels, and the names of pods are random."""
    return _policy(
        DELETIONS,
        [_resources("DELETE", "pods")],
        {"ours": _BY_ACCOUNT},
        {},
        [
            Rule(
                f"request.namespace == '{KUBE_SYSTEM}' ? (has(oldObject.metadata.ownerReferences) "
                f"&& oldObject.metadata.ownerReferences.exists(o, o.kind == 'DaemonSet' && o.name == '{KUBE_PROXY}')) "
                f": ({_LABELLED.format('oldObject')})",
                "the benchmark's accounts delete its own pods and kube-proxy's, no other pod",
            )
        ],
    )


def _services() -> tuple[Object, Object]:
    """A Service can take another's address, or lead to another's pods."""
    return _policy(
        SERVICES,
        [_resources("CREATE DELETE", "services")],
        {"ours": _BY_ACCOUNT},
        {},
        [
            Rule(
                f"request.operation == 'DELETE' ? ({_LABELLED.format('oldObject')}) : ({_LABELLED.format('object')})",
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
