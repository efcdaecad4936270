"""Fixtures of tests with a real iperf3 server, or with a script in iperf3's place."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.steps.builders import RECORDED
from tests.steps.measuring import Servers


@pytest.fixture
def server() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.stop()


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a shell script in iperf3's place; returns a directory that it can leave notes in, as $NOTES."""
    programs, notes = tmp_path / "bin", tmp_path / "notes"
    programs.mkdir()
    notes.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("RECORDED", str(RECORDED))

    def put(script: str) -> Path:
        (programs / "iperf3").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "iperf3").chmod(0o755)
        return notes

    return put
