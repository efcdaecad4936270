"""The admission policy for the benchmark's pods, Argo's step pods included."""

import functools
import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads import connectivity, probe_pods
from steps.cluster.kube.workloads.manifests import LABEL, NODE_MONITORS, TRIALS, USER
from steps.lease import PART
from steps.tasks import run
from steps.tasks.shared.pod import ACCOUNTS, IMAGE
from workflows.template import benchmark
from workflows.template.guard import COMMAND
from workflows.template.policies import BY_ACCOUNT, LABELLED, NEW, POD_CHANGES, STEP, Rule, build_policy, cel_list

PODS: Final = "dataplane-benchmark-pods"

IMAGES: Final = "images"
EXECUTORS: Final = "executor"
"""Variables of the policy for pods that a deployment fills in, as JSON: a list of images, and a repository."""

EXECUTOR: Final = "quay.io/argoproj/argoexec"
"""The repository of Argo's executor, unless a deployment names another."""

HOST_NETWORK: Final = (
    TRIALS,
    NODE_MONITORS,
    probe_pods.PART,
    connectivity.REACH,
    connectivity.CHECK,
    connectivity.OUTSIDE,
)
"""The parts of the benchmark with pods in the node's network: their traffic, or their probe of it, begins there."""

_ARGO: Final = ("init", "wait", "supervisor")
"""Containers that Argo adds to a step's pod."""

_LOADING: Final = "^(PYTHON.*|LD_.*|GCONV_PATH|OPENSSL_.*|BASH_ENV|ENV|IFS|KUBE.*|PATH|HOME)$"
"""Environment variables that make Python, the loader, a shell or the API client read other files."""

_HARMLESS: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Of these, those that the benchmark sets itself."""

_MOUNTS: Final = r"^(/var)?/run/secrets(/|$)|^/etc/(ssl|pki)(/|$)|^/usr(/local)?/share/ca-certificates(/|$)"
"""Where a step's container may have files that Argo did not put there: tokens and certificates, never code."""


_FORMER_RUNNER: Final = ("-m", "hera.workflows.runner", "-e")
"""Of runs that began before an upgrade to this version, which must come to their end, restore included."""


def _entry_points() -> str:
    """CEL's map from an account to the functions that its steps run, as the arguments of their pods name them."""
    found: dict[str, list[str]] = defaultdict(list)
    for template in _steps():
        found[template["serviceAccountName"]].append(_function(template))
    return json.dumps({account: sorted(names) for account, names in sorted(found.items())})


@functools.cache
def _steps() -> tuple[Object, ...]:
    """The templates that run a step."""
    return tuple(each for each in benchmark.build_template().to_dict()["spec"]["templates"] if "script" in each)


def _function(template: Object) -> str:
    """What a step runs, as the arguments of its pod name it."""
    return str(template["script"]["args"][-1])


def _guard() -> str:
    """Whether it is a pod of the guard: the switching account's, with one container and the guard's command."""
    return (
        f"variables.step && object.spec.serviceAccountName == '{ACCOUNTS['switch']}' && variables.all.size() == 1 "
        f"&& object.spec.containers.all(c, c.name == '{PART}' "
        f"&& has(c.command) && c.command == {cel_list(COMMAND)} && !has(c.args) && !has(c.workingDir))"
    )


def build_pod_policy() -> tuple[Object, Object]:
    """The benchmark's own pods, Argo's step pods included."""
    variables = {
        IMAGES: json.dumps([IMAGE]),
        EXECUTORS: json.dumps(EXECUTOR),
        "step": STEP,
        "all": "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])",
        "own": f"variables.all.filter(c, !(variables.step && c.name in {cel_list(_ARGO)}))",
        "argo": f"variables.all.filter(c, variables.step && c.name in {cel_list(_ARGO)})",
        "guard": _guard(),
        "volumes": "has(object.spec.volumes) ? object.spec.volumes : []",
        "entry_points": _entry_points(),
        "part": f"has(object.metadata.labels) && '{LABEL}' in object.metadata.labels "
        f"? object.metadata.labels['{LABEL}'] : ''",
    }
    return build_policy(
        PODS,
        [POD_CHANGES],
        {"new": NEW, "ours": f"({STEP}) || ({LABELLED.format('object')}) || {BY_ACCOUNT}"},
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
    yield Rule(
        "!has(object.spec.ephemeralContainers) || object.spec.ephemeralContainers.size() == 0",
        "the benchmark's pods take no ephemeral containers, such as those of kubectl debug: debug a copy of the pod "
        "in another namespace",
    )


def _begins_with(runner: tuple[str, ...]) -> str:
    """CEL: a container's arguments are a runner's, an entrypoint and the file with the inputs."""
    same = " && ".join(f"c.args[{n}] == '{word}'" for n, word in enumerate(runner))
    return f"(c.args.size() == {len(runner) + 2} && {same})"


def _commands() -> Iterable[Rule]:
    yield Rule(
        "variables.argo.all(c, has(c.command) && c.command.size() > 1 && c.command[0] == 'argoexec' "
        "&& c.command[1] == c.name && !has(c.args))",
        "Argo's containers in a step's pod run their own command only",
    )
    yield Rule(
        "!variables.step || variables.guard || variables.own.all(c, c.name == 'main' "
        "&& has(c.command) && c.command.size() > 3 "
        "&& c.command[0] in ['/var/run/argo/argoexec', '/argo-bin/bin/argoexec'] && c.command[1] == 'emissary' "
        "&& c.command[c.command.size() - 2] == '--' && c.command[c.command.size() - 1] == 'python' "
        f"&& has(c.args) && ({' || '.join(map(_begins_with, (run.COMMAND, _FORMER_RUNNER)))}) "
        "&& c.args[c.args.size() - 2] in variables.entry_points[object.spec.serviceAccountName] "
        "&& c.args[c.args.size() - 1] == '/argo/staging/script' && !has(c.workingDir))",
        "a step's pod runs a step of the benchmark, or the guard, under its own service account only",
    )
    yield Rule(
        "!variables.step || variables.own.all(c, !has(c.lifecycle) && !has(c.livenessProbe) && !has(c.readinessProbe) "
        "&& !has(c.startupProbe))",
        "a step's pod has no hooks and no probes",
    )


def _variables() -> Iterable[Rule]:
    yield Rule(
        "variables.own.all(c, !has(c.envFrom) && (!has(c.env) || c.env.all(e, "
        f"e.name in {cel_list(_HARMLESS)} || !e.name.matches('{_LOADING}'))))",
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
    on_nodes = sorted(_function(each) for each in _steps() if "hostNetwork" in each.get("podSpecPatch", ""))
    yield Rule(
        "!has(object.spec.hostNetwork) || !object.spec.hostNetwork "
        "|| (variables.step ? variables.guard || variables.own.all(c, has(c.args) && c.args.size() > 2 "
        f"&& c.args[c.args.size() - 2] in {cel_list(on_nodes)}) "
        f": variables.part in {cel_list(HOST_NETWORK)})",
        "only the guard, steps that measure or call the API server, and servers and probes use the node's network",
    )
    yield Rule(
        "variables.step || (has(object.spec.automountServiceAccountToken) "
        "&& !object.spec.automountServiceAccountToken && variables.volumes.all(v, !has(v.projected) "
        "|| !has(v.projected.sources) || v.projected.sources.all(s, !has(s.serviceAccountToken) && !has(s.secret))))",
        "the benchmark's servers and probes have no service account token",
    )
    yield Rule(
        f"!({BY_ACCOUNT}) || !variables.step",
        "the benchmark's accounts create no pod that runs under one of them",
    )
