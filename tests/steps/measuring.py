"""What tests of trials share: a real server, and the documents of a measured topology."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from steps import documents
from steps.catalogue.options import Settings
from steps.domain import Placement, Trial
from steps.measurement.monitors.interference import ForeignCpu
from steps.measurement.trials import measure_trials
from tests.steps.builders import settings
from tests.waiting import until

needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether a server listens, without a connection that an iperf3 server would take for a client's."""
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in lines)


class Servers:
    def __init__(self) -> None:
        self.port = free_port()
        command = ["iperf3", "-s", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: listens(self.port))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Outcome:
    """The documents and messages of `measure_trials`."""

    def __init__(
        self, directory: Path, place: Placement, trials: list[Trial], chosen: Settings, **more: object
    ) -> None:
        self.said: list[str] = []
        self.progress: list[tuple[int, int]] = []
        foreign = more.get("foreign")
        assert foreign is None or isinstance(foreign, ForeignCpu)
        measure_trials(
            place,
            trials,
            chosen,
            directory,
            self.said.append,
            lambda done, total: self.progress.append((done, total)),
            foreign=foreign,
        )
        self.documents = [
            documents.read_document(directory / documents.trial_name(t.trial), documents.TrialDocument) for t in trials
        ]


CHOSEN = settings()


def busy(line: str, port: int) -> bool:
    fields = line.split()
    return fields[3] == "01" and fields[2].endswith(f":{port:04X}")


def dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
