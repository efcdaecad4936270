"""How the steps of a visit take part in its turns."""

from contextlib import suppress

from analysis.errors import Problem
from steps.catalogue.options import Settings
from steps.cluster.port import Cluster
from steps.domain import Visit
from steps.measurement.subprocesses import Programs
from steps.measurement.turns.turn_taker import SILENT_S, TurnTaker
from steps.settings import turn_order
from steps.tasks.shared.step import log


def turns_of(source: str | None, step: str, visit: Visit, settings: Settings) -> TurnTaker:
    """The turns of one step that waits for its own, however long the proof takes."""
    return _taker(source, step, visit, settings, unproven_s=turn_order.unproven_s(settings.environment))


def _taker(
    source: str | None,
    step: str,
    visit: Visit,
    settings: Settings,
    *,
    silent_s: float = SILENT_S,
    unproven_s: float = 0.0,
) -> TurnTaker:
    return TurnTaker(
        source,
        step,
        turn_order.all_steps(visit),
        turn_order.patience_s(visit, settings.omit_s, settings.environment),
        Programs(),
        log,
        silent_s=silent_s,
        needed=(turn_order.SETTLE,),
        unproven_s=unproven_s,
    )


def open_turns(cluster: Cluster, visit: Visit, settings: Settings) -> None:
    """Let the measuring steps begin, since the dataplane is proven, once their servers are ready.

    Where a server does not start, they end without measuring, each with the reason.

    Raises:
        Problem: there is no server of turns, or it does not answer.
    """
    source = cluster.turns(visit)
    if source is None:
        raise Problem(
            "nothing can be measured, since the visit's servers did not start: the log of configure says why."
        )
    turns, refusal = _taker(source, turn_order.SETTLE, visit, settings), ""
    try:
        cluster.await_servers(visit)
    except Problem as problem:
        log(refusal := str(problem))
    turns.come(refusal)


def refuse_turns(cluster: Cluster, visit: Visit, settings: Settings, reason: str, silent_s: float = SILENT_S) -> None:
    """Let the measuring steps end, since the dataplane is not proven. Refused twice, they end by the first reason.

    `silent_s`: how long to try. Where nothing answers, the steps end without it too, but minutes later.
    """
    with suppress(Problem):
        if (source := cluster.turns(visit)) is not None:
            taker = _taker(source, turn_order.SETTLE, visit, settings, silent_s=silent_s)
            taker.come(f"{visit.dataplane} is not proven: {reason}")
