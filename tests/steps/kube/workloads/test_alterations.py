"""What an admission webhook makes of a pod: known by comparison with what was asked for, kept out where it can be."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.plugins.calico.proof import observe
from steps.cluster.kube.servers import server_findings, trial_servers
from steps.cluster.kube.workloads import comparison, connectivity, manifests, mesh, step_pods
from steps.cluster.kube.workloads.manifests import Container
from steps.cluster.kube.workloads.workload import AlteredError, Workload
from steps.domain import Visit
from steps.proof.evaluate import evaluate
from tests.steps.kube.bench import MEASURED, PLACES, WITH_IMAGE, Bench, every_pod, report_connections, settings
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.switching import around
from workflows.template import benchmark

Object = dict[str, Any]
Alter = Callable[[Object], object]
RUN = {**WITH_IMAGE, "ARGO_WORKFLOW_NAME": "run-1"}
PROXY = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.0", "command": ["/usr/local/bin/pilot-agent"]}


def sidecar(pod: Object) -> None:
    pod["spec"]["containers"].append(dict(PROXY))


def native_sidecar(pod: Object) -> None:
    pod["spec"].setdefault("initContainers", []).append({**PROXY, "restartPolicy": "Always"})


def init_container(pod: Object) -> None:
    pod["spec"].setdefault("initContainers", []).append({**PROXY, "name": "istio-init"})


def annotate(name: str, value: str) -> Alter:
    return lambda pod: pod["metadata"].setdefault("annotations", {}).update({name: value})


def in_spec(**fields: object) -> Alter:
    return lambda pod: pod["spec"].update(fields)


def in_container(**fields: object) -> Alter:
    return lambda pod: pod["spec"]["containers"][0].update(fields)


ALTERED = [
    (sidecar, "it has a container istio-proxy, which was added to it"),
    (native_sidecar, "it has a sidecar istio-proxy, which was added to it"),
    (init_container, "it has an init container istio-init, which was added to it"),
    (in_spec(ephemeralContainers=[{"name": "debugger-1"}]), "it has an ephemeral container debugger-1"),
    (in_spec(ephemeralContainers=[{"name": "init-artifact-x"}]), "it has an ephemeral container init-artifact-x"),
    (annotate("ambient.istio.io/redirection", "enabled"), "Istio's ambient mode redirects its traffic"),
    (annotate("linkerd.io/proxy-version", "edge-25.11.1"), "Linkerd injected a proxy"),
    (annotate("kubernetes.io/egress-bandwidth", "10M"), "what it may send is limited by annotation"),
    (in_spec(runtimeClassName="gvisor"), "it has runtime class gvisor"),
]
OURS = [
    *ALTERED,
    (in_spec(hostNetwork=True), "it has the node's own network"),
    (in_spec(nodeName="node-c"), "it runs on node node-c and not on node-a"),
    (
        in_container(image="registry.example/steps:2"),
        "has image registry.example/steps:2 and not registry.example/steps:1",
    ),
    (in_container(image="registry.example/steps"), "has image registry.example/steps and not"),
    (in_container(image="registry.example/proxy:1"), "has image registry.example/proxy:1 and not"),
    (in_container(command=["sleep", "1d"]), "its container program has another command"),
    (lambda pod: pod["spec"].update(containers=[dict(PROXY)]), "its container program is missing"),
]
HARMLESS: list[Alter] = [
    in_container(image="mirror.example:5000/cache/steps:1"),
    in_container(image="mirror.example/steps:1@sha256:abc"),
    in_container(image="mirror.example/steps@sha256:abc"),
    in_container(env=[{"name": "AWS_REGION", "value": "x"}]),
    in_spec(priorityClassName="low", volumes=[{"name": "token"}]),
    annotate("ambient.istio.io/redirection", "disabled"),
    annotate("cni.projectcalico.org/podIP", "10.64.1.2/32"),
    lambda pod: pod["metadata"]["labels"].update({"team": "network"}),
]


def manifest() -> Object:
    program = Container("program", ("python", "-m", "steps.tools.connect_probe", "serve", "5202"))
    return manifests.pod("server", "trials", "node-a", [program], "registry.example/steps:1", deadline_s=60)


def running(alter: Alter) -> Object:
    found = copy.deepcopy(manifest())
    found["spec"]["nodeName"] = "node-a"
    alter(found)
    return found


def step_pod(alter: Alter = lambda _pod: None, name: str = "run-1-measure-1", **spec: object) -> Object:
    """As Argo 4.1 makes one."""
    asked = {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}
    found: Object = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"workflows.argoproj.io/workflow": "run-1", **mesh.OPT_OUT_LABELS},
            "annotations": dict(mesh.OPT_OUT_ANNOTATIONS),
        },
        "spec": {
            "nodeName": "node-a",
            "initContainers": [{"name": "init"}],
            "containers": [{"name": "wait"}, {"name": "main", **asked}],
            **spec,
        },
        "status": {"phase": "Running"},
    }
    alter(found)
    return found


@pytest.mark.parametrize(("alter", "words"), OURS)
def test_alteration_of_a_trial_pod_is_named(alter: Alter, words: str) -> None:
    assert words in "; ".join(comparison.pod_differences(running(alter), manifest()))


@pytest.mark.parametrize("alter", HARMLESS)
def test_harmless_pod_alteration_is_accepted(alter: Alter) -> None:
    assert comparison.pod_differences(running(alter), manifest()) == []


@pytest.mark.parametrize(("alter", "words"), ALTERED)
def test_alteration_of_a_step_pod_is_named(alter: Alter, words: str) -> None:
    assert words in "; ".join(comparison.step_differences(step_pod(alter)))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"initContainers": []},
        {"initContainers": None, "containers": [{"name": "supervisor"}, {"name": "main"}]},
        {"containers": [{"name": "wait"}, {"name": "main"}, {"name": "artifact-plugin-a"}]},
        {"initContainers": [{"name": "init"}, {"name": "init-artifact-a"}], "hostNetwork": True},
    ],
)
def test_argo_pod_without_alteration_is_accepted(spec: Object) -> None:
    assert comparison.step_differences(step_pod(**spec)) == []


def test_every_pod_has_annotations_against_sidecar_injection() -> None:
    spec = benchmark.build_template().to_dict()["spec"]
    for where in (*(pod["metadata"] for pod in every_pod()), spec["podMetadata"]):
        assert mesh.OPT_OUT_LABELS.items() <= where["labels"].items()
        assert mesh.OPT_OUT_ANNOTATIONS.items() <= where["annotations"].items()


@pytest.mark.parametrize("alter", [sidecar, native_sidecar, init_container])
def test_sidecar_injection_ends_the_visit_and_names_the_namespace(alter: Alter) -> None:
    bench = Bench()
    bench.kubelet.admits = alter
    with pytest.raises(AlteredError, match="which was added to it") as caught:
        bench.prepare("pod-to-pod")
    assert "istio-injection" in str(caught.value)


def test_unready_pod_error_names_the_injected_container() -> None:
    bench = Bench()
    bench.kubelet.admits = sidecar
    bench.kubelet.refuses = lambda _pod: "ImagePullBackOff"
    with pytest.raises(AlteredError, match="container istio-proxy"):
        Workload(bench.client, "trials").ensure_pods(trial_servers.manifests((), PLACES, "image:1"), 0.1)


def test_preflight_stops_on_pod_alterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    report_connections(bench)
    bench.kubelet.admits = sidecar
    (found,) = server_findings.findings(
        bench.client, bench.standing, MEASURED, settings("pod-to-pod"), variables=WITH_IMAGE
    )
    assert (found.severity, found.subject) == ("stop", "pods")
    assert "container istio-proxy" in found.reason
    assert "kubectl get namespace bench --show-labels" in (found.remedy or "")
    assert bench.kubelet.pods() == {}


def test_preflight_and_prepare_check_step_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "CHECK_S", 0.05)
    bench = Bench()
    report_connections(bench)
    others = step_pod(sidecar, "other-run")
    others["metadata"]["labels"]["workflows.argoproj.io/workflow"] = "run-2"
    bench.store.put("", "pods", others)
    asked = settings("pod-to-pod")
    assert server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=RUN) == []
    bench.store.put("", "pods", step_pod(native_sidecar, "run-1-preflight-7"))
    (found,) = server_findings.findings(bench.client, bench.standing, MEASURED, asked, variables=RUN)
    assert (found.severity, found.subject) == ("stop", "pods")
    assert (
        "the step's pod run-1-preflight-7 differs from what Argo creates: it has a sidecar istio-proxy" in found.reason
    )
    visit = Visit(visit=1, round=1, dataplane="iptables", trials=())
    with pytest.raises(AlteredError, match="run-1-preflight-7"):
        trial_servers.prepare(bench.client, bench.standing, MEASURED, visit, asked, variables=RUN)


def test_altered_client_pod_voids_its_visit() -> None:
    bench = Bench()
    client, _transport = direct_client(bench.store)
    who = KubernetesCluster("prod", client=client, variables=RUN, say=lambda _s: None, gate_s=0)
    visit = Visit(visit=1, round=1, dataplane="as-is", trials=())
    bench.store.put("", "pods", step_pod(name="run-1-measure-1"))
    assert evaluate(who.observe(visit, "after"), "as-is", MEASURED).state == "proven"
    bench.store.put("", "pods", step_pod(sidecar, "run-1-measure-2"))
    found = evaluate(who.observe(visit, "after"), "as-is", MEASURED)
    assert found.state == "disproven"
    assert "run-1-measure-2 differs from what Argo creates: it has a container istio-proxy" in str(found.reason)
    assert (
        evaluate(
            observe.observe(around(bench.calico, client), bench.standing, MEASURED, visit, "after"), "as-is", MEASURED
        ).state
        == "proven"
    )


def test_step_resource_requests_are_those_of_the_largest_step() -> None:
    big = step_pod(containers=[
        {"name": "wait", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}},
        {"name": "main", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
    ])  # fmt: skip
    assert step_pods.requests([step_pod(), big]) == {"cpu": "1100m", "memory": str(2**30 + 64 * 2**20)}
    assert step_pods.requests([]) == {"cpu": "50m", "memory": str(64 * 2**20)}
