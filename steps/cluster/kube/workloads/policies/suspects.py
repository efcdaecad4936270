"""The network policies that apply to the benchmark's pods and can deny their traffic. Pure, but for reading them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from analysis.console.excerpts import excerpt
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.errors import ApiError, DeniedError
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import POLICIES, Resource
from steps.cluster.kube.workloads import manifests, mesh
from steps.cluster.kube.workloads.policies.selectors import Labels, matches, selects

_ALLOWING: Final = "allow-dataplane-benchmark"
_LONGEST: Final = 1000
_DENYING: Final = frozenset({"Deny", "Pass"})


@dataclass(frozen=True, slots=True)
class SuspectPolicy:
    """A policy that applies.

    Attributes:
        name: with its kind.
        why: what in it can deny, as a clause.
        sure: whether it certainly applies.
        additive: whether another policy can allow what it denies.
    """

    name: str
    why: str
    sure: bool = True
    additive: bool = False


def read_policies(client: Client, groups: dict[str, str]) -> list[SuspectPolicy]:
    """The policies that may deny the traffic between the benchmark's pods; a kind that may not be read counts as one.

    `groups`: the API groups that the cluster serves.
    """
    labels = own_labels(client.namespace)
    found: list[SuspectPolicy] = []
    for resource, namespace in POLICIES:
        if resource.group not in groups:
            continue
        try:
            objects = client.list(resource, namespace)
        except (ApiError, DeniedError):
            found.append(SuspectPolicy(f"a {resource.kind}, of which none may be read,", "can deny it", sure=False))
            continue
        found += of_kind(resource, objects, labels, client.namespace)
    return list(dict.fromkeys(found))


def own_labels(namespace: str) -> dict[str, str]:
    """The labels of every pod of a run, Argo's step pods included, and what Calico adds to them."""
    return {
        **mesh.OPT_OUT_LABELS,
        manifests.NAME: manifests.NAMED,
        "projectcalico.org/namespace": namespace,
        "projectcalico.org/orchestrator": "k8s",
    }


def of_kind(resource: Resource, objects: Sequence[Object], labels: Labels, namespace: str) -> Iterator[SuspectPolicy]:
    """The policies of one kind that may deny it."""
    judge = _JUDGES.get(resource.group, _calico)
    for each in objects:
        place = each["metadata"].get("namespace")
        named = excerpt(f"{resource.kind} {place + '/' if place else ''}{each['metadata']['name']}")
        if (found := judge(each.get("spec") or {}, labels, namespace)) is not None:
            yield replace(found, name=named)


def _kubernetes(spec: Object, labels: Labels, namespace: str) -> SuspectPolicy | None:
    del namespace  # it was read in this namespace
    if not matches(spec.get("podSelector") or {}, labels):
        return None
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    closed = [
        kind for kind in types if all(any(rule.values()) for rule in spec.get(kind.lower()) or [])
    ]  # a rule without peers and ports allows everything
    if not closed:
        return None
    return SuspectPolicy("", f"lets through only what it lists ({' and '.join(closed)})", additive=True)


def _calico(spec: Object, labels: Labels, namespace: str) -> SuspectPolicy | None:
    own = {"kubernetes.io/metadata.name": namespace, "projectcalico.org/name": namespace}
    chosen = [selects(spec.get("selector"), labels)]
    if spec.get("namespaceSelector"):
        chosen.append(selects(spec["namespaceSelector"], own, are_all=False))
    # the last two are of host endpoints, which the pods' traffic may pass
    if any(spec.get(name) for name in ("serviceAccountSelector", "preDNAT", "doNotTrack")):
        chosen.append(None)
    if False in chosen:
        return None
    types = spec.get("types") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    closed = [kind for kind in types if not _allows_all(spec.get(kind.lower()) or [])]
    if not closed:
        return None
    return SuspectPolicy("", f"denies what it does not allow ({' and '.join(closed)})", sure=None not in chosen)


def _allows_all(rules: Sequence[Object]) -> bool:
    """Whether everything is allowed before anything is denied."""
    for rule in rules:
        if rule.get("action") == "Allow" and not {name for name, value in rule.items() if value} - {
            "action",
            "metadata",
        }:
            return True
        if rule.get("action") in _DENYING:
            return False
    return False


def _administrators(spec: Object, labels: Labels, namespace: str) -> SuspectPolicy | None:
    subject = spec.get("subject") or {}
    own = {"kubernetes.io/metadata.name": namespace}
    here = subject["namespaces"] if "namespaces" in subject else (subject.get("pods") or {}).get("namespaceSelector")
    chosen = matches(here, own, are_all=False)
    if chosen is False:
        return None
    if "pods" in subject and not matches(subject["pods"].get("podSelector"), labels):
        return None
    closed = [
        kind.capitalize()
        for kind in ("ingress", "egress")
        if any(rule.get("action") == "Deny" for rule in spec.get(kind) or [])
    ]
    if not closed:
        return None
    return SuspectPolicy("", f"has rules that deny ({' and '.join(closed)})", sure=chosen is True)


_JUDGES: Final[Mapping[str, Callable[[Object, Labels, str], SuspectPolicy | None]]] = {
    "networking.k8s.io": _kubernetes,
    "policy.networking.k8s.io": _administrators,
}
"""By the group of the API; all others are Calico's."""


def remedy(suspects: Sequence[SuspectPolicy], namespace: str) -> str:
    """What to do to allow the traffic between the benchmark's pods."""
    if suspects and all(suspect.additive for suspect in suspects):
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": _ALLOWING},
            "spec": {
                "podSelector": {"matchLabels": {manifests.NAME: manifests.NAMED}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{}],
                "egress": [{}],
            },
        }
        return f"Allow it, as policies add up: `echo '{json.dumps(policy)}' | kubectl -n {namespace} apply -f -`."
    names = ", ".join(suspect.name for suspect in suspects if not suspect.additive) or "the policy that denies it"
    return (
        f"Let {names} allow pods with the label {manifests.NAME}={manifests.NAMED} in namespace {namespace} to reach "
        f"each other, or use another namespace: `kubectl -n {namespace} get networkpolicies`."
    )


def clause(suspects: Sequence[SuspectPolicy]) -> str:
    """The policies that apply and what in them can deny, as a clause."""
    if not suspects:
        return "no network policy that is known here applies to it"
    return excerpt(
        "; ".join(f"{s.name} {'applies' if s.sure else 'may apply'} to it and {s.why}" for s in suspects), _LONGEST
    )
