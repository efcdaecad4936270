"""Runs the benchmark by the local engine, with stand-ins for what needs a lab, and kills it at chosen moments.

`test_killed_runs.py` looks at what is left. It is a program of its own: the runs are forked from it, each with all that
it imports loaded already, so that fifty of them take seconds. `validate` and `collect` are the real steps.
"""

import ctypes
import gc
import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Final
from unittest import mock

from analysis.store import store as _store  # noqa: F401 - loaded once here, and not in each run
from steps import documents
from steps.catalogue.options import Settings
from steps.collect import run_rows as _collect  # noqa: F401 - likewise
from steps.settings import environment, schedule
from steps.tasks.configure import UNSCALED, measures
from steps.tasks.preflight import level_outputs
from steps.tasks.shared.step import RUN_FOLDER
from tests.steps import builders
from tests.workflows.standing_in import outputs_folder, standing_in
from workflows.local.execution import engine as engines
from workflows.local.execution.events import Event, NodeFinished, NodeStarted
from workflows.template.benchmark import build_template

REAL: Final = frozenset({"validate", "collect"})
OPERATIONS: Final = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})
ARGUMENTS: Final = {
    "profile": "smoke",
    "dataplanes": "lab-iptables,lab-ebpf",
    "topologies": "pod-to-service",
    "options": "rounds=1 protocols=tcp seed=7",
    "trigger": "local",
}
_PR_SET_CHILD_SUBREAPER: Final = 36


def _hand_on(**parameters: object) -> None:
    for name, value in parameters.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (outputs_folder() / "parameters" / name).write_text(text)


def _preflight(settings: str, **_: object) -> None:
    chosen = Settings.model_validate_json(settings)
    visits = schedule.make_schedule(chosen)
    documents.write_document(
        outputs_folder() / "artifacts" / "document",
        documents.Preflight(findings=(), provenance={"kernel": "6"}, visits=visits),
    )
    _hand_on(settings=settings, **level_outputs(chosen, 1, visits))


def _of_visit(name: str) -> Callable[..., None]:
    """A step of a visit, that leaves the document which a visit that goes well has of it."""

    def stand_in(settings: str, visit: str, what: str = "", **_: object) -> None:
        chosen = Settings.model_validate_json(settings)
        going = schedule.make_schedule(chosen)[int(visit) - 1]
        with tempfile.TemporaryDirectory(dir=outputs_folder()) as here:
            builders.write_visit(Path(here), going, chosen)
            (Path(here) / (what or f"{name}.json")).rename(outputs_folder() / "artifacts" / "document")
            if name == "configure":
                (Path(here) / documents.PREPARE).rename(outputs_folder() / "artifacts" / "prepared")
        if name == "configure":
            between_hosts = builders.placement(topology="node-to-node")
            places = {place.topology: place for place in (between_hosts, builders.placement())}
            _hand_on(measures=measures(going, chosen, places), scaled=UNSCALED)

    return stand_in


def _other(**_: object) -> None:
    for artifact in ("document", "report"):
        (outputs_folder() / "artifacts" / artifact).write_text("{}")
    _hand_on(
        headline="h",
        outcome="measured",
        regression="",
        figures="{}",
        verdict="v",
        notification="n",
        next="stop",
        visits=[],
        level="02",
        title="repeats",
        reason="r",
    )


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("_"):
        raise AttributeError(name)
    of_visit = name in {"configure", "settle", "measure", "clear", "retreat"}
    found = _preflight if name == "preflight" else _of_visit(name) if of_visit else _other
    return standing_in(found, name)


def workflow() -> dict[str, Any]:
    """The benchmark's, with stand-ins but for REAL."""
    built: dict[str, Any] = build_template().to_dict()
    for template in built["spec"]["templates"]:
        if "script" in template and template["name"] not in REAL:
            template["script"]["args"][-1] = f"tests.workflows.cli.killed_run:{template['name']}"
    return built


class Moment:
    """Counts events, or operations on files, and kills at one of them."""

    def __init__(self, how: str, point: int, results: Path, journal: Path) -> None:
        self.how, self.left = how, point
        self.results = str(results)
        self.engine_pid = os.getpid()
        self.user_pid = 0
        self.engine: engines.Engine | None = None
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._visits: dict[str, str] = {}

    def listen(self, event: Event) -> None:
        """Note each visit that ended well, outside of the store; then it may be time."""
        if isinstance(event, NodeStarted) and event.template == "visit" and event.kind == "DAG":
            self._visits[event.node] = event.inputs["visit"]
        if isinstance(event, NodeFinished) and event.node in self._visits and event.phase == "Succeeded":
            os.write(self._journal, f"{self._visits[event.node]}\n".encode())
        if self.how in {"event", "twice"}:
            self.count()

    def operation(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook, in the engine and in each step."""
        in_engine = os.getpid() == self.engine_pid
        wanted = "engine" if in_engine else "step"
        names = [name for name in arguments[:2] if isinstance(name, str)]
        if any(self.results in name for name in names):
            self.user_pid = os.getpid()
        # A name without a folder is one in a folder of the store, or of the artifacts, that is open.
        in_store = self.user_pid == os.getpid() and any(self.results in n or "/" not in n for n in names)
        if wanted == self.how and event in OPERATIONS and in_store:
            self.count()

    def count(self) -> None:
        """One more of what is counted."""
        self.left -= 1
        if self.left != 0:
            return
        if self.how == "twice" and self.engine is not None:
            self.engine.stop()
            self.engine.stop()
        else:
            os.kill(self.engine_pid, signal.SIGKILL)
            signal.pause()


def run(how: str, point: int, folder: Path, built: dict[str, Any]) -> int:
    """One run, in a process of its own; what is left of the count, where it came to its end."""
    fork = multiprocessing.get_context("fork")
    mock.patch.object(multiprocessing, "get_context", return_value=fork).start()
    mock.patch.object(engines, "start_fork_server").start()
    # What a step that is forked from the server closes.
    forkserver._forkserver._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)  # type: ignore[attr-defined]
    results = folder / "store"
    moment = Moment(how, point, results, folder / "journal")
    env = {environment.ENVIRONMENT: "lab", environment.RESULTS: str(results)}
    engine = engines.Engine(
        built, ARGUMENTS, str(results), "run", moment.listen, {**env, "PYTHONPATH": os.pathsep.join(sys.path)},
        locks=folder, grace_s=1.0, run_folder=RUN_FOLDER,
    )  # fmt: skip
    moment.engine = engine
    sys.addaudithook(moment.operation)
    engine.run()
    return moment.left


def main(folder: str, *moments: str) -> None:
    """Make runs in FOLDER/HOW-POINT for each moment HOW:POINT; print how many moments of that sort were left over."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    built = workflow()
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy what all of them share
    for text in moments:
        how, _, point = text.partition(":")
        place = Path(folder, f"{how}-{point}")
        place.mkdir()
        child = os.fork()
        if child == 0:
            left = run(how, int(point), place, built)
            (place / "left").write_text(str(left))
            os._exit(0)
        while True:  # the run, and every step that it left behind
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
