"""Wait until the visit's dataplane is proven to carry traffic on every measured node; fail closed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from analysis.errors import Problem
from steps import raw
from steps import settle as settling
from steps.cluster import connect
from steps.tasks.common import VISIT_FOLDER, document, ends_in_a_sentence, planned, say
from steps.tasks.pod import step


@step("observe", deadline_s=900)
@ends_in_a_sentence
def settle(settings: str, visit: str, document: Annotated[Path, document(VISIT_FOLDER + "/" + raw.SETTLE)]) -> None:
    """Look until the evidence suffices or time is up; keep what was seen, whatever it says."""
    chosen, going = planned(settings, visit)
    cluster = connect(chosen.environment)
    nodes = cluster.measured_nodes
    kept = raw.Evidence(visit=going.visit, nodes=nodes)
    try:
        settled = settling.wait(
            lambda: cluster.observe(going, "before"),
            lambda signs: settling.judge(signs, going.dataplane, nodes),
            settling.timeout_s(chosen.environment),
            say,
        )
    except Problem as problem:
        seen: dict[str, object] = {}
        if isinstance(problem, settling.NotSettledError):
            seen = {"signs": problem.signs, "proof": problem.proof, "final": problem.final}
        raw.write(document, kept.model_copy(update={**seen, "error": str(problem)}))
        raise
    proven_at = datetime.now(UTC)
    found = {"signs": settled.signs, "proof": settled.proof, "settle_s": settled.settle_s, "proven_at": proven_at}
    raw.write(document, kept.model_copy(update={**found, "cost": cluster.cost()}))
    say(f"{settled.proof.observed} proven in {settled.settle_s:.2f} s")
