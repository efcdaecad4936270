"""Steps and templates small enough to see through, run by Hera's real runner in real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

from hera.workflows import NoneArchiveStrategy, Parameter, S3Artifact, script
from hera.workflows.io import Output


@script(constructor="runner", image="toy")
def nothing() -> None:
    """A step that does nothing."""


class Printed(Output):
    printed: Annotated[str, Parameter(name="printed")]


@script(constructor="runner", image="toy")
def say(text: str) -> Printed:
    sys.stdout.write("what a step prints is nowhere kept\n")
    return Printed(printed=text)


@script(constructor="runner", image="toy")
def fail() -> None:
    sys.stderr.write("last line\n")
    sys.exit(3)


@script(constructor="runner", image="toy")
def fail_saying(sentence: str) -> None:
    Path(os.environ["BENCHMARK_TERMINATION_LOG"]).write_text(sentence)
    sys.stderr.write("last line\n")
    sys.exit(3)


@script(constructor="runner", image="toy")
def fail_if(text: str, bad: str) -> Printed:
    if text == bad:
        sys.exit(f"{text} is bad")
    return Printed(printed=text)


@script(constructor="runner", image="toy")
def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@script(constructor="runner", image="toy")
def wait_for_stop(
    kept: Annotated[
        Path,
        S3Artifact(name="kept", key="{{workflow.name}}/kept.txt", archive=NoneArchiveStrategy(), output=True),
    ],
) -> None:
    child = subprocess.Popen(["sleep", "600"])
    kept.write_text(str(child.pid))
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    signal.pause()


@script(constructor="runner", image="toy")
def overlap(marks: str, mine: str) -> None:
    """Notes how many of its kind run beside it."""
    place = Path(marks)
    (place / f"running-{mine}").touch()
    (place / f"seen-{mine}").write_text(str(len(list(place.glob("running-*")))))
    time.sleep(0.2)
    (place / f"running-{mine}").unlink()


@script(constructor="runner", image="toy")
def keep(
    text: str,
    kept: Annotated[
        Path,
        S3Artifact(
            name="kept",
            key="raw/{{workflow.name}}/{{inputs.parameters.text}}.txt",
            archive=NoneArchiveStrategy(),
            output=True,
        ),
    ],
) -> None:
    kept.write_text(text)
    if text == "fails":
        raise RuntimeError(text)


@script(constructor="runner", image="toy")
def read_all(
    kept: Annotated[Path | None, S3Artifact(name="kept", key="raw/{{workflow.name}}", optional=True)],
) -> Printed:
    return Printed(printed=",".join(sorted(f.name for f in Path(kept or "nowhere").rglob("*.txt"))))


@script(constructor="runner", image="toy")
def progress() -> None:
    Path(os.environ["ARGO_PROGRESS_FILE"]).write_text("1/4")
    sys.stderr.write("pod-to-pod tcp forward 1/4: 5.21 Gbit/s\n")


@script(constructor="runner", image="toy")
def leave_nothing_until(
    counter: str,
    times: int,
    kept: Annotated[Path, S3Artifact(name="kept", key="kept.txt", archive=NoneArchiveStrategy(), output=True)],
) -> None:
    """Its first runs leave no artifact, and end as an Error by that."""
    place = Path(counter)
    place.write_text(place.read_text() + "x" if place.exists() else "x")
    if len(place.read_text()) > times:
        kept.write_text("x")


@script(constructor="runner", image="toy")
def environment(name: str) -> Printed:
    return Printed(printed=os.environ[name])


@script(constructor="runner", image="toy")
def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while True:
        signal.pause()


@script(constructor="runner", image="toy")
def tell_pid() -> None:
    sys.stderr.write(f"{os.getpid()}\n")
    sys.stderr.flush()
    signal.pause()


@script(constructor="runner", image="toy")
def wait_for_file(file: str) -> None:
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while not Path(file).exists():
        time.sleep(0.02)
