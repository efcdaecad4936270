"""Differences between a pod and its manifest: an admission webhook may add something to the measured path. Pure.

An environment variable, a volume or a mirror of the image's registry does not change the measurement, and is accepted.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.workloads import manifests
from steps.cluster.kube.workloads.mesh import IN_THE_PATH, OFF

_STEP_CONTAINERS: Final = frozenset({"main", "wait", "supervisor"})
_STEP_INIT_CONTAINERS: Final = frozenset({"init"})
_STEP_PREFIXES: Final = ("artifact-plugin-", "init-artifact-")
"""The names of the containers of Argo's artifact plugins begin so."""

OPT_OUT: Final = (
    "Every pod of ours opts out of the meshes that are known here, so exclude the benchmark's namespace from "
    "whatever changes its pods, such as the label istio-injection or a webhook's namespaceSelector"
)


def pod_differences(found: Object, wanted: Object) -> list[str]:
    """How a pod of ours differs from its manifest in what is measured, each as a clause."""
    spec, expected = found.get("spec") or {}, wanted["spec"]
    return [
        *_containers(spec, expected),
        *_placing(spec, expected),
        *_annotations(found, wanted),
    ]


def step_differences(found: Object) -> list[str]:
    """How the pod of a step differs from what Argo creates, each as a clause."""
    spec = found.get("spec") or {}
    added = _added(spec, _STEP_CONTAINERS, _STEP_INIT_CONTAINERS, _STEP_PREFIXES)
    return [*added, *_runtime(spec, {}), *_placing(spec, spec), *_annotations(found, {})]


def _containers(spec: Object, expected: Object) -> Iterator[str]:
    names, init_names = ({each["name"] for each in expected.get(kind, [])} for kind in ("containers", "initContainers"))
    yield from _added(spec, names, init_names)
    there = {c.get("name"): c for c in spec.get("containers") or []}
    for container in expected["containers"]:
        name = container["name"]
        if name not in there:
            yield f"its container {name} is missing"
            continue
        image = str(there[name].get("image"))
        if not _same_image(image, container["image"]):
            yield f"its container {name} has image {image} and not {container['image']}"
        if there[name].get("command") != container.get("command"):
            yield f"its container {name} has another command"
    yield from _runtime(spec, expected)


def _runtime(spec: Object, expected: Object) -> Iterator[str]:
    if spec.get("runtimeClassName") != expected.get("runtimeClassName"):
        yield f"it has runtime class {spec.get('runtimeClassName')}"


def _added(
    spec: Object, known: Collection[str], known_init: Collection[str], prefixes: tuple[str, ...] = ()
) -> Iterator[str]:
    for kind, field, names, own in (
        ("container", "containers", known, prefixes),
        ("init container", "initContainers", known_init, prefixes),
        ("ephemeral container", "ephemeralContainers", (), ()),  # of which Argo adds none
    ):
        for container in spec.get(field) or ():
            name = str(container.get("name"))
            if name in names or name.startswith(own):
                continue
            what = "sidecar" if kind == "init container" and container.get("restartPolicy") == "Always" else kind
            yield f"it has {'an' if what[0] in 'aeiou' else 'a'} {what} {name}, which was added to it"


def _placing(spec: Object, expected: Object) -> Iterator[str]:
    if bool(spec.get("hostNetwork")) != bool(expected.get("hostNetwork")):
        yield f"it {'has' if spec.get('hostNetwork') else 'does not have'} the node's own network"
    node, pin = spec.get("nodeName"), manifests.pinned_to(expected)
    if node and pin and node != pin:
        yield f"it runs on node {node} and not on {pin}"


def _annotations(found: Object, wanted: Object) -> Iterator[str]:
    expected: Mapping[str, str] = (wanted.get("metadata") or {}).get("annotations") or {}
    for name, value in ((found.get("metadata") or {}).get("annotations") or {}).items():
        if name in IN_THE_PATH and name not in expected and str(value).lower() not in OFF:
            yield f"{IN_THE_PATH[name]} (annotation {name}={str(value)[:40]})"


def _same_image(found: str, expected: str) -> bool:
    """Whether two names may mean the same image: clusters replace the registry by a mirror, and a tag by a digest."""
    name, tag, digest = _parts(found)
    expected_name, expected_tag, expected_digest = _parts(expected)
    if name != expected_name or (digest and expected_digest and digest != expected_digest):
        return False
    return tag == expected_tag or (not tag and bool(digest))


def _parts(image: str) -> tuple[str, str, str]:
    """An image's last name, its tag and its digest; empty if absent."""
    named, _, digest = image.partition("@")
    name, _, tag = named.rpartition("/")[2].partition(":")
    return name, tag, digest
