"""A real trial of two streams, the second of which loses its packets. Run in a network namespace of its own.

`python -m tests.steps.lab.dead_stream PROGRAM PROTOCOL DIRECTION SHARE FOLDER` prints what the trial's document says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from steps import documents
from steps.measurement import results, trials
from steps.measurement.subprocesses import search_everywhere
from steps.tools.failure import Failure
from steps.tools.iperf3.iperf3 import IperfReport
from tests.steps.builders import placement, settings, trial
from tests.steps.measuring import Servers
from tests.steps.tools.iperf3_versions import put_in_place

FIRST_PORT = 40_000
"""Of the client's streams; the second has the next one."""

RULES = """
table inet lossy {{
  chain input {{
    type filter hook input priority 0
    meta length > 200 meta l4proto {protocol} th sport {port} {loss} drop
    meta length > 200 meta l4proto {protocol} th dport {port} {loss} drop
  }}
}}
"""


def main(program: str, protocol: str, direction: str, share: str, folder: str) -> None:
    put_in_place(program, Path(folder) / "server")
    put_in_place(program, Path(folder) / "client", f"--cport {FIRST_PORT}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    loss = "" if share == "100" else f"numgen random mod 100 < {share}"
    rules = RULES.format(protocol=protocol, port=FIRST_PORT + 1, loss=loss)
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    planned = trial(protocol=protocol, direction=direction, streams=2, offered_bps=1e8 if protocol == "udp" else None)
    os.environ["PATH"] = f"{folder}/server:{os.environ['PATH']}"
    servers = Servers()
    os.environ["PATH"] = f"{folder}/client:{os.environ['PATH']}"
    place = placement(port=servers.port, monitors=())
    trials.measure_trials(place, [planned], settings(), Path(folder), lambda _: None, lambda *_: None)
    servers.stop()
    found = results.read_results(
        planned, documents.read_document(Path(folder) / documents.trial_name(1), documents.TrialDocument).attempts[-1]
    )
    output = {
        "error": found.reason if isinstance(found, Failure) else None,
        "flags": found.flags if isinstance(found, IperfReport) else (),
    }
    sys.stdout.write(json.dumps(output) + "\n")


if __name__ == "__main__":
    search_everywhere()
    main(*sys.argv[1:])
