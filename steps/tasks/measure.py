"""Measure one topology of a visit, or the canary before or after them. Asks no cluster: its placement says it all."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from hera.workflows import Parameter, S3Artifact
from hera.workflows import models as m

from steps import documents
from steps.catalogue.topologies import CONTROL
from steps.domain import Moment, Placement
from steps.measurement import client_network
from steps.measurement.canary import measure_canary
from steps.measurement.trials import measure_trials
from steps.tasks._pod import step
from steps.tasks._step import VISIT_FOLDER, document, ends_in_a_sentence, planned_visit, progress, say

Network = Literal["node", "outside", "pod"]

CANARIES: dict[str, Moment] = {
    documents.canary_directory("before"): "before",
    documents.canary_directory("after"): "after",
}


NETWORKS: dict[Network, dict[str, object]] = {
    "node": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
    # a node that Calico doesn't manage has no way to the cluster's own name servers
    "outside": {"hostNetwork": True, "dnsPolicy": "Default"},
    "pod": {"hostNetwork": False, "dnsPolicy": "ClusterFirst"},
}
"""What each value of the input `network` changes in the step's pod; any other value counts as `pod`."""


def _patch() -> str:
    """The expression that chooses one of them. Pasted in as text, an input could change all else in the pod, too."""
    *cases, last = ((name, json.dumps(patch)) for name, patch in NETWORKS.items())
    chosen = "".join(f"inputs.parameters.network == '{name}' ? '{patch}' : " for name, patch in cases)
    return f"{{{{={chosen}'{last[1]}'}}}}"


def _on_the_client_node() -> m.Affinity:
    """By the node's name, which every node has; the label kubernetes.io/hostname may say something else."""
    name = m.NodeSelectorRequirement(key="metadata.name", operator="In", values=["{{inputs.parameters.client-node}}"])
    term = m.NodeSelectorTerm(match_fields=[name])
    required = m.NodeSelector(node_selector_terms=[term])
    return m.Affinity(node_affinity=m.NodeAffinity(required_during_scheduling_ignored_during_execution=required))


# A host-network pod is no more privileged than another, but for seeing the node's own network, which is what the
# control and the client outside measure. The nodes outside, and control planes, are tainted as a rule.
@step(
    "measure",
    deadline_s=86_400,
    # counted from the step's beginning, and not from its pod's as the deadline: a pod that is never started ends, too
    timeout="{{inputs.parameters.timeout}}",
    affinity=_on_the_client_node(),
    tolerations=[m.Toleration(operator="Exists")],
    pod_spec_patch=_patch(),
)
@ends_in_a_sentence
def measure(  # noqa: PLR0917 - the template places the pod by some
    settings: str,
    visit: str,
    what: str,
    client_node: Annotated[str, Parameter(name="client-node")],  # noqa: ARG001 - the template places the pod by it
    network: str,  # noqa: ARG001 - likewise
    timeout: str,  # noqa: ARG001 - likewise, it ends the pod by it
    title: str,  # noqa: ARG001 - what the node is called
    prepared: Annotated[Path, S3Artifact(name="prepared", key=VISIT_FOLDER + "/" + documents.PREPARE)],
    document: Annotated[Path, document(VISIT_FOLDER + "/{{inputs.parameters.what}}")],
) -> None:
    """Every trial becomes a document in the folder, a failed one too; the step itself does not fail for it."""
    chosen, going = planned_visit(settings, visit)
    place = canary_placement(documents.read_document(prepared, documents.Prepare).placements, what)
    client_network.check_place(place, chosen.environment)
    document.mkdir(parents=True, exist_ok=True)
    if what in CANARIES:
        measure_canary(place, chosen, CANARIES[what], document, say)
        return
    trials = [trial for trial in going.trials if trial.topology == what]
    if reason := client_network.sharing_reason(place):
        client_network.refuse(place, trials, chosen, document, reason)
        say(reason)
        return
    measure_trials(place, trials, chosen, document, say, progress)


def canary_placement(placements: Iterable[Placement], what: str) -> Placement:
    """Where a measuring step finds its server: a topology's own, and the control's for a canary."""
    topology = CONTROL if what in CANARIES else what
    return next(placement for placement in placements if placement.topology == topology)
