"""Steps small enough to see through, run in real processes as the benchmark's are."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from steps.tasks.shared.artifacts import Artifact, Outputs
from steps.tasks.shared.pod import P, R, Step


def toy(function: Callable[P, R]) -> Step[P, R]:
    """A step whose inputs nothing checks."""
    return Step(function, "measure", deadline_s=600)


@toy
def nothing() -> None:
    """A step that does nothing."""


@dataclass(frozen=True, kw_only=True)
class Printed(Outputs):
    printed: str


@toy
def say(text: str) -> Printed:
    sys.stdout.write("what a step prints is nowhere kept\n")
    return Printed(printed=text)


@dataclass(frozen=True, kw_only=True)
class Listed(Outputs):
    items: list[str]


@toy
def listed(text: str) -> Listed:
    return Listed(items=text.split(","))


@toy
def loaded(name: str) -> Listed:
    """The modules that are loaded once one of them is."""
    importlib.import_module(name)
    return Listed(items=sorted(sys.modules))


@dataclass(frozen=True, kw_only=True)
class Rest(Outputs):
    rest: str


@toy
def shorten(text: str) -> Rest:
    return Rest(rest=text[1:])


@toy
def fail() -> None:
    sys.stderr.write("last line\n")
    sys.exit(3)


@toy
def fail_saying(sentence: str) -> None:
    Path(os.environ["BENCHMARK_TERMINATION_LOG"]).write_text(sentence)
    sys.stderr.write("last line\n")
    sys.exit(3)


@toy
def fail_if(text: str, bad: str) -> Printed:
    if text == bad:
        sys.exit(f"{text} is bad")
    return Printed(printed=text)


@toy
def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@toy
def kill_itself_by(number: str) -> None:
    os.kill(os.getpid(), int(number))


@toy
def wait_for_stop(
    kept: Annotated[Path, Artifact("kept", "{{workflow.name}}/kept.txt", output=True)],
) -> None:
    child = subprocess.Popen(["sleep", "600"])
    kept.write_text(str(child.pid))
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    signal.pause()


@toy
def overlap(marks: str, mine: str) -> None:
    """Notes how many of its kind run beside it."""
    place = Path(marks)
    (place / f"running-{mine}").touch()
    (place / f"seen-{mine}").write_text(str(len(list(place.glob("running-*")))))
    time.sleep(0.2)
    (place / f"running-{mine}").unlink()


@toy
def keep(
    text: str,
    kept: Annotated[Path, Artifact("kept", "raw/{{workflow.name}}/{{inputs.parameters.text}}.txt", output=True)],
) -> None:
    kept.write_text(text)
    if text == "fails":
        raise RuntimeError(text)


@toy
def read_all(
    kept: Annotated[Path | None, Artifact("kept", "raw/{{workflow.name}}", optional=True)],
) -> Printed:
    return Printed(printed=",".join(sorted(f.name for f in Path(kept or "nowhere").rglob("*.txt"))))


@toy
def read_and_wait(
    kept: Annotated[Path | None, Artifact("kept", "raw/{{workflow.name}}", optional=True)],
) -> None:
    sys.stderr.write(f"started with {kept}\n")
    sys.stderr.flush()
    signal.pause()


@toy
def progress() -> None:
    Path(os.environ["ARGO_PROGRESS_FILE"]).write_text("1/4")
    sys.stderr.write("pod-to-pod tcp forward 1/4: 5.21 Gbit/s\n")


@toy
def leave_nothing_until(
    counter: str,
    times: str,
    kept: Annotated[Path, Artifact("kept", "kept.txt", output=True)],
) -> None:
    """Its first runs leave no artifact, and end as an Error by that."""
    place = Path(counter)
    place.write_text(place.read_text() + "x" if place.exists() else "x")
    if len(place.read_text()) > int(times):
        kept.write_text("x")


@toy
def environment(name: str) -> Printed:
    return Printed(printed=os.environ[name])


@toy
def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while True:
        signal.pause()


@toy
def tell_pid() -> None:
    sys.stderr.write(f"{os.getpid()}\n")
    sys.stderr.flush()
    signal.pause()


@toy
def wait_for_file(file: str) -> None:
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while not Path(file).exists():
        time.sleep(0.02)
