"""Real trials of two streams in a namespace whose firewall drops the packets of one of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steps.cluster.lab.capabilities import is_privileged
from tests.ordinary import ROOT, environment
from tests.steps.tools.iperf3_versions import programs

pytestmark = pytest.mark.lab


def measured(program: str, tmp_path: Path, protocol: str, direction: str, share: int) -> dict[str, Any]:
    if not is_privileged():
        pytest.skip("needs root, for a network namespace and its firewall")
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("needs nft: apt-get install nftables")
    command = [sys.executable, "-m", "tests.steps.lab.dead_stream", program, protocol, direction, str(share)]
    done = subprocess.run(
        ["unshare", "--net", *command, str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("program", programs())
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_stream_that_delivers_nothing_fails_its_trial(
    program: str, tmp_path: Path, protocol: str, direction: str
) -> None:
    error = measured(program, tmp_path, protocol, direction, 100)["error"]
    if (protocol, direction) == ("udp", "forward"):
        assert error == "as many datagrams as a whole stream of 2 sends never reached the receiver"
    else:
        assert error == "stream 2 of 2 delivered nothing"


@pytest.mark.parametrize("program", programs())
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_stream_that_delivers_far_less_than_the_other_is_flagged(program: str, tmp_path: Path, direction: str) -> None:
    found = measured(program, tmp_path, "udp", direction, 96)
    assert found["error"] is None
    assert "uneven-streams" in found["flags"]


@pytest.mark.parametrize("program", programs())
def test_streams_that_lose_nothing_are_neither(program: str, tmp_path: Path) -> None:
    found = measured(program, tmp_path, "udp", "forward", 0)
    assert found["error"] is None
    assert "uneven-streams" not in found["flags"]
