"""What runs, against what was asked for: what an admission webhook adds to a pod is in the path or beside it. Pure.

An environment variable, a volume or a mirror of the image's registry changes nothing that is measured, and is let pass.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from steps.cluster.kube.workloads.mesh import IN_THE_PATH, OFF

Object = dict[str, Any]

_STEP_CONTAINERS: Final = frozenset({"main", "wait", "supervisor"})
_STEP_INIT_CONTAINERS: Final = frozenset({"init"})
_STEP_PREFIXES: Final = ("artifact-plugin-", "init-artifact-")
"""How Argo names the containers of its artifact plugins."""

OPT_OUT: Final = (
    "Every pod of ours asks the meshes that are known here to leave it alone, so take the benchmark's namespace out of "
    "whatever adds to its pods, such as the label istio-injection or a webhook's namespaceSelector"
)


def pod_differences(found: Object, wanted: Object) -> list[str]:
    """How a pod of ours differs from its manifest in what is measured, each as a clause; none: it does not.

    Args:
        found: the pod, as the cluster has it.
        wanted: the manifest that it was made from.
    """
    spec, asked = found.get("spec") or {}, wanted["spec"]
    return [
        *_containers(spec, asked),
        *_placing(spec, asked),
        *_annotations(found, wanted),
    ]


def step_differences(found: Object) -> list[str]:
    """How a pod that Argo made for a step differs from what Argo makes, each as a clause.

    Args:
        found: the pod, as the cluster has it.
    """
    spec = found.get("spec") or {}
    added = [
        *_added("container", spec.get("containers"), _STEP_CONTAINERS, _STEP_PREFIXES),
        *_added("init container", spec.get("initContainers"), _STEP_INIT_CONTAINERS, _STEP_PREFIXES),
        *_added("ephemeral container", spec.get("ephemeralContainers"), ()),
    ]
    return [*added, *_runtime(spec, {}), *_placing(spec, spec), *_annotations(found, {})]


def _containers(spec: Object, asked: Object) -> Iterator[str]:
    yield from _added("container", spec.get("containers"), {c["name"] for c in asked["containers"]})
    yield from _added(
        "init container", spec.get("initContainers"), {c["name"] for c in asked.get("initContainers", [])}
    )
    yield from _added("ephemeral container", spec.get("ephemeralContainers"), ())
    there = {c.get("name"): c for c in spec.get("containers") or []}
    for container in asked["containers"]:
        name = container["name"]
        if name not in there:
            yield f"its container {name} is missing"
            continue
        image = str(there[name].get("image"))
        if not _same_image(image, container["image"]):
            yield f"its container {name} has image {image} and not {container['image']}"
        if there[name].get("command") != container.get("command"):
            yield f"its container {name} has another command"
    yield from _runtime(spec, asked)


def _runtime(spec: Object, asked: Object) -> Iterator[str]:
    if spec.get("runtimeClassName") != asked.get("runtimeClassName"):
        yield f"it has runtime class {spec.get('runtimeClassName')}"


def _added(
    kind: str, containers: Iterable[Object] | None, known: Iterable[str], prefixes: tuple[str, ...] = ()
) -> Iterator[str]:
    for container in containers or ():
        name = str(container.get("name"))
        if name in known or name.startswith(prefixes):
            continue
        what = "sidecar" if kind == "init container" and container.get("restartPolicy") == "Always" else kind
        yield f"it has {'an' if what[0] in 'aeiou' else 'a'} {what} {name}, which was not asked for"


def _placing(spec: Object, asked: Object) -> Iterator[str]:
    if bool(spec.get("hostNetwork")) != bool(asked.get("hostNetwork")):
        yield f"it {'has' if spec.get('hostNetwork') else 'has not'} the node's own network"
    node, pin = spec.get("nodeName"), pinned(asked)
    if node and pin and node != pin:
        yield f"it runs on node {node} and not on {pin}"


def pinned(spec: Object) -> str | None:
    """The node that a pod is pinned to by name; None: to none."""
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or []:
        for field in term.get("matchFields") or []:
            if field.get("key") == "metadata.name":
                return str(field["values"][0])
    return None


def _annotations(found: Object, wanted: Object) -> Iterator[str]:
    asked: Mapping[str, str] = (wanted.get("metadata") or {}).get("annotations") or {}
    for name, value in ((found.get("metadata") or {}).get("annotations") or {}).items():
        if name in IN_THE_PATH and name not in asked and str(value).lower() not in OFF:
            yield f"{IN_THE_PATH[name]} (annotation {name}={str(value)[:40]})"


def _same_image(found: str, asked: str) -> bool:
    """Whether it is the same image, as far as its name tells.

    Clusters rewrite the registry, and what is before the last name, to a mirror's; and a tag to the digest that it
    stands for.
    """
    name, tag, digest = _parts(found)
    asked_name, asked_tag, asked_digest = _parts(asked)
    if name != asked_name or (digest and asked_digest and digest != asked_digest):
        return False
    return tag == asked_tag or (not tag and bool(digest))


def _parts(image: str) -> tuple[str, str, str]:
    """An image's last name, its tag and its digest; an empty one is absent."""
    named, _, digest = image.partition("@")
    name, _, tag = named.rpartition("/")[2].partition(":")
    return name, tag, digest
