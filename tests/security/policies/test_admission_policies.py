"""The admission policies admit every pod of a real run, and refuse each hostile variant of them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steps.cluster.kube.workloads.manifests import LABEL
from steps.tasks.shared.pod import ACCOUNTS
from tests.workflows.policies import CONTROLLER, policy, refusals
from workflows.template import admission, guard, pod_policy

Object = dict[str, Any]
Change = Callable[[Object], object]

RECORDED = Path(__file__).parent / "recorded" / "pods.json"
PODS: dict[str, Object] = json.loads(RECORDED.read_text(encoding="utf-8"))
"""Of a run on Kubernetes 1.35 with Argo 4.1, by step or name, as the API server had them."""

IMAGE = next(c["image"] for c in PODS["server"]["spec"]["containers"])
STEPS = [name for name, pod in PODS.items() if pod["spec"].get("serviceAccountName") in ACCOUNTS.values()]
OWN_PODS = [name for name in PODS if name not in STEPS]
OBSERVE = f"system:serviceaccount:bench:{ACCOUNTS['observe']}"
SWITCH = f"system:serviceaccount:bench:{ACCOUNTS['switch']}"


def refused(pod: Object, user: str = "", **more: Any) -> list[str]:  # noqa: ANN401 - of `refusals`
    creator = user or (CONTROLLER if pod["spec"].get("serviceAccountName") in ACCOUNTS.values() else OBSERVE)
    return refusals(pod_policy.PODS, pod, user=creator, images=json.dumps([IMAGE]), **more)


def changed(name: str, change: Change) -> Object:
    pod = copy.deepcopy(PODS[name])
    change(pod)
    return pod


def container(pod: Object, name: str = "") -> Object:
    kinds = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    found: Object = next(c for c in kinds if c["name"] == name) if name else pod["spec"]["containers"][-1]
    return found


def spec(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda pod: pod["spec"].update(fields)


def main(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda pod: container(pod).update(fields)


def argo(name: str, **fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda pod: container(pod, name).update(fields)


def secured(container_name: str = "", **fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda pod: container(pod, container_name).setdefault("securityContext", {}).update(fields)


def pod_secured(**fields: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda pod: pod["spec"]["securityContext"].update(fields)


def without(*path: str) -> Change:
    def change(pod: Object) -> None:
        where = pod["spec"] if path[0] != "main" else container(pod)
        for key in path[path[0] == "main" : -1]:
            where = where[key]
        del where[path[-1]]

    return change


def variable(name: str) -> Change:
    return lambda pod: container(pod).setdefault("env", []).append({"name": name, "value": "/tmp/evil"})


def volume(mount: str, **source: Any) -> Change:  # noqa: ANN401 - JSON
    def change(pod: Object) -> None:
        pod["spec"].setdefault("volumes", []).append({"name": "evil", **source})
        if mount:
            container(pod).setdefault("volumeMounts", []).append({"name": "evil", "mountPath": mount})

    return change


def added(kind: str, **fields: Any) -> Change:  # noqa: ANN401 - JSON
    def change(pod: Object) -> None:
        other = {**copy.deepcopy(container(pod)), "name": "other", **fields}
        pod["spec"].setdefault(kind, []).append(other)

    return change


def every(*changes: Change) -> Change:
    return lambda pod: [change(pod) for change in changes]


def entry_point(function: str) -> Change:
    return lambda pod: container(pod)["args"].__setitem__(2, function)


CONFIG_MAP = {"configMap": {"name": "evil"}}
ANY_POD: dict[str, Change] = {
    "another image": main(image="evil.example/image:1"),
    "another tag": main(image=IMAGE.rpartition(":")[0] + ":other"),
    "another container": added("containers", image="evil.example/image:1"),
    "another init container": added("initContainers", image="evil.example/image:1"),
    "privileged": secured(privileged=True),
    "escalation": secured(allowPrivilegeEscalation=True),
    "escalation by default": without("main", "securityContext", "allowPrivilegeEscalation"),
    "no security context": without("main", "securityContext"),
    "capabilities": secured(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    "capabilities kept": secured(capabilities={}),
    "root": secured(runAsUser=0),
    "perhaps root": secured(runAsNonRoot=False),
    "writable root": secured(readOnlyRootFilesystem=False),
    "unmasked /proc": secured(procMount="Unmasked"),
    "no seccomp": secured(seccompProfile={"type": "Unconfined"}),
    "pod as root": pod_secured(runAsUser=0),
    "pod perhaps as root": pod_secured(runAsNonRoot=False),
    "pod without seccomp": without("securityContext", "seccompProfile"),
    "pod without a security context": without("securityContext"),
    "sysctls": pod_secured(sysctls=[{"name": "net.ipv4.ip_forward", "value": "1"}]),
    "processes of the node": spec(hostPID=True),
    "IPC of the node": spec(hostIPC=True),
    "path of the node": volume("", hostPath={"path": "/"}),
    "path of the node, mounted": volume("/host", hostPath={"path": "/"}),
    "disk": volume("", persistentVolumeClaim={"claimName": "theirs"}),
    "driver": volume("", csi={"driver": "evil"}),
    "NFS": volume("", nfs={"server": "evil", "path": "/"}),
    "environment of a ConfigMap": main(envFrom=[{"configMapRef": {"name": "evil"}}]),
    "environment of a Secret": main(envFrom=[{"secretRef": {"name": "theirs"}}]),
    **{f"variable {name}": variable(name) for name in ("PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "KUBECONFIG",
                                                       "KUBERNETES_SERVICE_HOST", "PATH", "HOME")},
}  # fmt: skip
STEP: dict[str, Change] = {
    "command": main(command=["python"]),
    "code": main(args=["-c", "import os"]),
    "more arguments": lambda pod: container(pod)["args"].append("x"),
    "another binary": lambda pod: container(pod)["command"].__setitem__(0, "/tmp/argoexec"),
    "another program": lambda pod: container(pod)["command"].__setitem__(-1, "sh"),
    "another module": lambda pod: container(pod)["args"].__setitem__(1, "http.server"),
    "no step": entry_point("os:system"),
    "another script": lambda pod: container(pod)["args"].__setitem__(3, "/tmp/x"),
    "own second container": added("containers"),
    "own init container": added("initContainers"),
    "folder": main(workingDir="/tmp"),
    "hook": main(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
    "probe": main(startupProbe={"exec": {"command": ["sh"]}}),
    "image of wait": argo("wait", image="evil.example/argoexec:1"),
    "image of init": argo("init", image="quay.io/argoproj/argoexec-evil:1"),
    "command of wait": argo("wait", command=["sh", "-c", "id"]),
    "verb of wait": argo("wait", command=["argoexec", "init"]),
    "arguments of init": argo("init", args=["x"]),
    "wait privileged": secured("wait", privileged=True),
    "wait as root": secured("wait", runAsUser=0),
    "init with capabilities": secured("init", capabilities={"add": ["SYS_ADMIN"]}),
    **{f"code at {mount}": volume(mount, **CONFIG_MAP) for mount in (
        "/packages", "/packages/hera", "/benchmark/steps", "/tmp/.local/lib", "/usr/lib/python3", "/var/run/argo",
        "/argo-bin", "/etc", "/etc/ld.so.preload", "/var/run/secrets/../../../packages")},
    "image volume": volume("/argo-bin", image={"reference": "evil.example/image:1"}),
}  # fmt: skip
OWN: dict[str, Change] = {
    "token": spec(automountServiceAccountToken=True),
    "token by default": without("automountServiceAccountToken"),
    "projected token": volume("/t", projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
    "Secret": volume("/s", secret={"secretName": "theirs"}),
    "projected Secret": volume("/s", projected={"sources": [{"secret": {"name": "theirs"}}]}),
    "variable of a Secret": main(env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}]),
    **{f"account {account}": spec(serviceAccountName=account) for account in ACCOUNTS.values()},
    "network of the node": every(
        spec(hostNetwork=True), lambda pod: pod["metadata"]["labels"].update({LABEL: "padding"})
    ),
}


def cases(names: list[str], changes: dict[str, Change]) -> list[Any]:
    return [
        pytest.param(changed(name, change), id=f"{name}: {what}") for name in names for what, change in changes.items()
    ]


@pytest.mark.parametrize("name", PODS)
def test_pods_of_a_real_run_are_admitted(name: str) -> None:
    assert refused(PODS[name]) == []
    assert refusals(admission.NAMESPACE, PODS[name]) == []


@pytest.mark.parametrize("pod", cases(["configure", "measure", "server", "look-host-0"], ANY_POD))
def test_hostile_pods_are_refused(pod: Object) -> None:
    assert refused(pod)


@pytest.mark.parametrize("pod", cases(["configure", "measure-host"], STEP))
def test_hostile_step_pods_are_refused(pod: Object) -> None:
    assert refused(pod)


@pytest.mark.parametrize("pod", cases(["server", "look-pod-0"], OWN))
def test_hostile_servers_and_probes_are_refused(pod: Object) -> None:
    assert refused(pod)


def test_pod_patch_of_a_submitter_is_refused() -> None:
    """A pod specification that a template's input became, while it was pasted in as text."""
    hostile = every(
        spec(hostNetwork=True, hostPID=True, serviceAccountName=ACCOUNTS["switch"]),
        volume("/host", hostPath={"path": "/"}),
        secured(privileged=True),
    )
    assert len(refused(changed("measure", hostile))) >= 4


@pytest.mark.parametrize(("name", "function"), [
    ("measure", "steps.tasks.configure:configure"), ("measure", "steps.tasks.restore:restore"),
    ("configure", "steps.tasks.measure:measure"), ("collect", "steps.tasks.preflight:preflight"),
])  # fmt: skip
def test_step_runs_under_its_own_account_only(name: str, function: str) -> None:
    assert refused(changed(name, entry_point(function)))


def on_node(step: str) -> Change:
    return every(entry_point(f"steps.tasks.{step}:{step}"), spec(hostNetwork=True))


@pytest.mark.parametrize("step", ["configure", "preflight", "restore", "retreat", "scale", "snapshot"])
def test_steps_that_call_the_api_server_use_the_node_network(step: str) -> None:
    assert refused(changed("configure", on_node(step))) == []


@pytest.mark.parametrize("step", ["collect", "look", "report", "validate", "verdict"])
def test_other_steps_do_not_use_the_node_network(step: str) -> None:
    assert refused(changed("collect", entry_point(f"steps.tasks.{step}:{step}"))) == []
    assert refused(changed("collect", on_node(step)))


@pytest.mark.parametrize("name", STEPS)
def test_accounts_create_no_pod_with_a_token(name: str) -> None:
    assert refused(PODS[name], user=OBSERVE)
    assert refused(PODS[name], user=SWITCH)


def guard_pod(*changes: Change) -> Object:
    """A pod as the job controller makes it of the guard's CronJob."""
    template = copy.deepcopy(guard.build_guard()["spec"]["jobTemplate"]["spec"]["template"])
    pod: Object = {**template, "metadata": {**template["metadata"], "name": "dataplane-benchmark-guard-1-abcde"}}
    container(pod)["image"] = IMAGE
    for change in changes:
        change(pod)
    return pod


def test_guard_is_admitted() -> None:
    assert refused(guard_pod(), user="system:serviceaccount:kube-system:job-controller") == []
    assert refusals(admission.NAMESPACE, guard_pod()) == []


GUARD: dict[str, Change] = {
    "another program": main(command=["python", "-m", "http.server"]),
    "arguments": main(args=["-c", "import os"]),
    "no command": without("main", "command"),
    "another name": main(name="main"),
    "folder": main(workingDir="/tmp"),
    "second container": added("containers"),
    "init container": added("initContainers"),
    "hook": main(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
    "code": volume("/benchmark/steps", **CONFIG_MAP),
    **{f"account {name}": spec(serviceAccountName=ACCOUNTS[name]) for name in ("observe", "measure")},
}  # fmt: skip


@pytest.mark.parametrize("change", [*ANY_POD, *GUARD])
def test_hostile_guards_are_refused(change: str) -> None:
    assert refused(guard_pod({**ANY_POD, **GUARD}[change]), user=CONTROLLER)


def test_accounts_create_no_guard() -> None:
    assert refused(guard_pod(), user=SWITCH)


def test_unlabelled_pods_of_the_accounts_are_covered() -> None:
    bare: Object = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": IMAGE}]}}
    assert refused(bare, user=OBSERVE)
    assert refused({**bare, "spec": {**bare["spec"], "serviceAccountName": ACCOUNTS["switch"]}})


def test_pods_of_others_are_not_covered() -> None:
    other = {"metadata": {"name": "x", "labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", "image": "y:1"}]}}
    assert refused(other, user=CONTROLLER) == []


def test_update_may_change_labels_but_not_the_image() -> None:
    before = PODS["measure"]
    hostile = changed("measure", main(image="evil.example/image:1"))
    labelled = copy.deepcopy(hostile)
    labelled["metadata"]["labels"]["workflows.argoproj.io/completed"] = "true"
    assert refused(hostile, operation="UPDATE", old=before)
    assert refused(labelled, operation="UPDATE", old=hostile) == []


DEBUGGED: Object = {
    **{name: PODS[name] for name in ("configure", "measure", "server", "look-pod-0")},
    "guard": guard_pod(),
}


@pytest.mark.parametrize("name", DEBUGGED)
@pytest.mark.parametrize("image", [IMAGE, "evil.example/image:1"])
def test_no_container_is_added_to_a_pod_that_runs(name: str, image: str) -> None:
    """As `kubectl debug` does it: its container has the pod's token in reach."""
    before, pod = DEBUGGED[name], copy.deepcopy(DEBUGGED[name])
    pod["spec"]["ephemeralContainers"] = [{"name": "debugger-abcde", "image": image, "targetContainerName": "main"}]
    assert refused(pod, operation="UPDATE", old=before, resource="pods/ephemeralcontainers")
    changes: list[Object] = [{"ephemeralContainers": []}, {"activeDeadlineSeconds": 1}]
    for empty in changes:
        harmless = {**before, "spec": {**before["spec"], **empty}}
        assert refused(harmless, operation="UPDATE", old=before, resource="pods", user=CONTROLLER) == []


def test_no_container_is_added_to_another_pod_of_the_own_namespace() -> None:
    before: Object = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": IMAGE}]}}
    pod = {**before, "spec": {**before["spec"], "ephemeralContainers": [{"name": "d", "image": IMAGE}]}}
    assert refusals(admission.NAMESPACE, pod, old=before, operation="UPDATE", resource="pods/ephemeralcontainers")


def test_own_namespace_admits_only_pods_of_the_benchmark() -> None:
    other = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": IMAGE}]}}
    assert refusals(admission.NAMESPACE, other)


@pytest.mark.parametrize(("namespace", "name", "permitted"), [
    ("kube-system", "dataplane-benchmark", True), ("kube-system", "kubernetes-services-endpoint", True),
    ("tigera-operator", "kubernetes-services-endpoint", True), ("kube-system", "aws-auth", False),
    ("kube-system", "kube-proxy", False), ("tigera-operator", "dataplane-benchmark", False),
    ("default", "kubernetes-services-endpoint", False),
])  # fmt: skip
def test_accounts_create_config_maps_by_name(namespace: str, name: str, permitted: bool) -> None:  # noqa: FBT001 - a case
    made = {"metadata": {"name": name}, "data": {}}
    assert (refusals(admission.CONFIG_MAPS, made, user=SWITCH, namespace=namespace) == []) is permitted
    assert refusals(admission.CONFIG_MAPS, made, user=CONTROLLER, namespace=namespace) == []


@pytest.mark.parametrize("name", ["configure", "measure-host"])
def test_pods_of_a_run_that_began_before_an_upgrade_are_admitted(name: str) -> None:
    """Their steps were run by Hera's runner; restore is one of them."""
    assert not refused(changed(name, _by_heras_runner))
    for place, word in ((1, "http.server"), (3, "os:system"), (4, "/tmp/x")):
        pod = changed(name, _by_heras_runner)
        container(pod)["args"][place] = word
        assert refused(pod), (place, word)


def _by_heras_runner(pod: Object) -> None:
    *_, entrypoint, script = container(pod)["args"]
    container(pod)["args"] = ["-m", "hera.workflows.runner", "-e", entrypoint, script]


def test_policies_fail_closed() -> None:
    items = admission.build_admission()["items"]
    assert {item["spec"]["failurePolicy"] for item in items if item["kind"] == "ValidatingAdmissionPolicy"} == {"Fail"}
    bindings = [item["spec"] for item in items if item["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {tuple(binding["validationActions"]) for binding in bindings} == {("Deny",)}
    assert all(policy(binding["policyName"]) for binding in bindings)
