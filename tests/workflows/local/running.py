"""Run a toy workflow to its end and look at what came of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from hera.workflows import DAG, WorkflowTemplate

from tests.waiting import until
from workflows.local.execution.engine import Engine
from workflows.local.execution.events import Event
from workflows.local.semantics.nodes import WorkflowOutcome


def workflow(
    main: Callable[[], object],
    exits: Callable[[], object] | None = None,
    others: Callable[[], object] | None = None,
    fields: Mapping[str, Any] | None = None,
    dag_fields: Mapping[str, Any] | None = None,
) -> WorkflowTemplate:
    """A workflow whose entrypoint `main` holds the tasks that a function adds; `others` adds templates before it."""
    given = {**(fields or {})}
    given["arguments"] = {"nodes": "", **given.get("arguments", {})}  # which every step has in its environment
    with WorkflowTemplate(name="toy", entrypoint="main", on_exit="bye" if exits else None, **given) as built:
        if others is not None:
            others()
        with DAG(name="main", fail_fast=False, **(dag_fields or {})):
            main()
        if exits is not None:
            with DAG(name="bye", fail_fast=False):
                exits()
    return built


def walk(
    built: WorkflowTemplate | Mapping[str, Any],
    results: Path,
    arguments: Mapping[str, str] | None = None,
    listener: Callable[[Engine, Event], None] | None = None,
    env: Mapping[str, str] | None = None,
    grace_s: float = 2.0,
) -> tuple[WorkflowOutcome, list[Event]]:
    """The outcome and all events. The listener gets the engine too, so that it can stop it."""
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if listener is not None:
            listener(engine, event)

    engine = Engine(built, arguments or {}, str(results), "run", listen, env, locks=results, grace_s=grace_s)
    return engine.run(), events


def phases(outcome: WorkflowOutcome) -> dict[str, str]:
    """The phase of each node, by its name without the workflow's."""
    return {node.name.removeprefix("run").lstrip(".") or "run": node.phase for node in outcome.nodes}


def await_exit(pid: int) -> None:
    """Wait until a process has ended; one for which nobody has waited yet has."""

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(ended)
