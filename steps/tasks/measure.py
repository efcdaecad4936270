"""Measure one topology of a visit, or its host network, by its placement alone, without access to the cluster's API.

All measuring steps of a visit run at the same time and take turns.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from analysis.errors import BadInput, Problem
from steps import documents
from steps.catalogue.environments import is_lab
from steps.catalogue.options import Settings
from steps.catalogue.topologies import NODE_TO_NODE
from steps.domain import Placement, Visit
from steps.measurement import client_network
from steps.measurement.first_contact import await_server, reach_s
from steps.measurement.references import measure_references
from steps.measurement.trials import measure_trials
from steps.measurement.turns.turn_taker import TurnTaker
from steps.settings import turn_order
from steps.tasks.shared.artifacts import Artifact
from steps.tasks.shared.inputs import checked_tag
from steps.tasks.shared.pod import NODE_NETWORK, step
from steps.tasks.shared.step import RUN_FOLDER, VISIT_FOLDER, document_artifact, log, planned_visit, progress
from steps.tasks.shared.turns import turns_of

Network = Literal["node", "outside", "pod"]

NETWORKS: dict[Network, Mapping[str, object]] = {
    "node": NODE_NETWORK,
    # a node that Calico doesn't manage can't reach the cluster's own name servers
    "outside": {"hostNetwork": True, "dnsPolicy": "Default"},
    "pod": {"hostNetwork": False, "dnsPolicy": "ClusterFirst"},
}
"""The patch of the step's pod for each value of the input `network`; any other value counts as `pod`."""


def _patch() -> str:
    """The expression that chooses one of them. An input inserted as text could change anything in the pod."""
    *cases, last = ((name, json.dumps(patch)) for name, patch in NETWORKS.items())
    chosen = "".join(f"inputs.parameters.network == '{name}' ? '{patch}' : " for name, patch in cases)
    return f"{{{{={chosen}'{last[1]}'}}}}"


def _on_the_client_node() -> dict[str, object]:
    """By the node's name, since the label kubernetes.io/hostname may differ from it."""
    name = {"key": "metadata.name", "operator": "In", "values": [checked_tag("client-node")]}
    terms = {"nodeSelectorTerms": [{"matchFields": [name]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


# The references and the client outside measure the node's own network, so their pods use it, without more privileges.
# Outside nodes and control planes are usually tainted.
@step(
    "measure",
    deadline_s=86_400,
    fields={
        # unlike the deadline, it also ends a pod that never starts
        "timeout": checked_tag("timeout"),
        "affinity": _on_the_client_node(),
        "tolerations": [{"operator": "Exists"}],
        "podSpecPatch": _patch(),
    },
)
def measure(  # noqa: PLR0917 - the template uses some of them for the pod
    settings: str,
    visit: str,
    what: str,
    client_node: str,  # noqa: ARG001 - the pod's node
    network: str,  # noqa: ARG001 - the pod's network
    timeout: str,  # noqa: ARG001 - the pod's
    title: str,  # noqa: ARG001 - of the workflow's node
    prepared: Annotated[Path, Artifact("prepared", VISIT_FOLDER + "/" + documents.PREPARE)],
    restored: Annotated[Path | None, Artifact("restored", RUN_FOLDER + "/" + documents.RESTORE, optional=True)],
    document: Annotated[Path, document_artifact(f"{VISIT_FOLDER}/{checked_tag('what')}")],
) -> None:
    """Write a document for every trial into the folder; a failed trial does not fail the step."""
    chosen, planned = planned_visit(settings, visit)
    if what not in turn_order.steps(planned):
        raise BadInput(f"input what is {what!r}, which visit {planned.visit} does not measure")
    servers = documents.read_document(prepared, documents.Prepare)
    place = placement_of(servers.placements, what)
    client_network.check_place(place, chosen.environment)
    document.mkdir(parents=True, exist_ok=True)
    _refuse_put_back(servers, restored)
    turns = turns_of(place.turns, what, planned, chosen)
    with turns.programs.stoppable():
        if not is_lab(chosen.environment):
            await_server(place, turns.programs.stopped, log, reach_s(chosen.services))
        _measure(what, place, planned, chosen, document, turns)


def _measure(what: str, place: Placement, planned: Visit, chosen: Settings, document: Path, turns: TurnTaker) -> None:
    """Measure the references, or the trials of the topology."""
    if what == turn_order.HOST_NETWORK:
        positions = turn_order.reference_positions(len(planned.trials), chosen.environment)
        measure_references(place, positions, chosen, document, log, progress, turns)
        return
    trials = [trial for trial in planned.trials if turn_order.step_of(trial) == what]
    if reason := client_network.sharing_reason(place):
        client_network.refuse(place, trials, document, reason)
        log(reason)
        turns.leave()
        return
    measure_trials(place, trials, chosen, document, log, progress, turns=turns)


def _refuse_put_back(servers: documents.Prepare, restored: Path | None) -> None:
    """Refuse a visit whose servers went when the run ended before: Argo's Retry repeats this step, and not `configure`.

    It would wait for them for minutes, as while a switch keeps the network down.

    Raises:
        Problem: the run was put back after the servers were there.
    """
    if restored is None or servers.prepared_at is None:
        return
    try:
        ended_at = documents.read_document(restored, documents.Restore).finished_at
    except Problem as problem:  # it costs no trial
        log(str(problem))
        return
    if ended_at > servers.prepared_at:
        raise Problem(
            f"the servers of visit {servers.visit} went when the run was put back at {ended_at:%H:%M:%S} UTC, and "
            "Argo's Retry makes no switch again that had been made: submit a run that measures it."
        )


def placement_of(placements: Iterable[Placement], what: str) -> Placement:
    """The placement of a measuring step: the topology's own, or node to node's for the host network.

    Raises:
        Problem: there is none.
    """
    topology = NODE_TO_NODE if what == turn_order.HOST_NETWORK else what
    found = next((placement for placement in placements if placement.topology == topology), None)
    if found is None:
        raise Problem(f"{documents.PREPARE} has no servers for {topology}: submit the run anew")
    return found
