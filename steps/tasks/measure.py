"""Measure one topology of a visit, or the canary before or after them. Asks no cluster: its placement says it all."""

from pathlib import Path
from typing import Annotated

from hera.workflows import Parameter, script

from steps import measure as measuring
from steps import raw
from steps.model import Moment, Placement
from steps.tasks.common import VISIT_FOLDER, document, ends_in_a_sentence, planned, progress, say

CANARIES: dict[str, Moment] = {raw.canary_directory("before"): "before", raw.canary_directory("after"): "after"}


@script(
    constructor="runner",
    node_selector={"kubernetes.io/hostname": "{{inputs.parameters.client-node}}"},
    pod_spec_patch='{"hostNetwork": {{inputs.parameters.host-network}}, "dnsPolicy": "ClusterFirstWithHostNet"}',
)
@ends_in_a_sentence
def measure(
    settings: str,
    visit: str,
    what: str,
    client_node: Annotated[str, Parameter(name="client-node")],  # noqa: ARG001 - the template places the pod by it
    host_network: Annotated[str, Parameter(name="host-network")],  # noqa: ARG001 - likewise
    placement: str,
    document: Annotated[Path, document(VISIT_FOLDER + "/{{inputs.parameters.what}}")],
) -> None:
    """Every trial becomes a document in the folder, a failed one too; the step itself does not fail for it."""
    chosen, going = planned(settings, visit)
    place = Placement.model_validate_json(placement)
    document.mkdir(parents=True, exist_ok=True)
    if what in CANARIES:
        measuring.canary(place, chosen, CANARIES[what], document, say)
        return
    trials = [trial for trial in going.trials if trial.topology == what]
    measuring.run(place, trials, chosen, document, say, progress)
