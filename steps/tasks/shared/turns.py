"""How the steps of a visit take part in its turns."""

from analysis.errors import Problem
from steps.catalogue.options import Settings
from steps.cluster.port import Cluster
from steps.domain import Visit
from steps.measurement.subprocesses import Programs
from steps.measurement.turns.turn_taker import TurnTaker
from steps.settings import turn_order
from steps.tasks.shared.step import log


def turns_of(source: str | None, step: str, visit: Visit, settings: Settings) -> TurnTaker:
    """The turns of one step of a visit."""
    patience_s = turn_order.patience_s(visit, settings.omit_s, settings.environment)
    return TurnTaker(
        source, step, turn_order.all_steps(visit), patience_s, Programs(), log, needed=(turn_order.SETTLE,)
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
    turns, refusal = turns_of(source, turn_order.SETTLE, visit, settings), ""
    try:
        cluster.await_servers()
    except Problem as problem:
        log(refusal := str(problem))
    turns.come(refusal)


def refuse_turns(cluster: Cluster, visit: Visit, settings: Settings, reason: str) -> None:
    """Let the measuring steps end, since the dataplane is not proven.

    Raises:
        Problem: the server of turns does not answer.
    """
    if (source := cluster.turns(visit)) is not None:
        turns_of(source, turn_order.SETTLE, visit, settings).come(f"{visit.dataplane} is not proven: {reason}")
