"""How long after the start of a pod its first packet is answered: the pod finds out itself, by its node's clock.

`python -m steps.cluster.kube.probe.first_answer ADDRESS PORT TOKEN` connects to an echo server from its own start until
the first reply, and prints one line of JSON, seconds since the start of this process by the kernel (to 10 ms):
`answered_s`, None if the time is over first, and `began_s`, when the first attempt began. Until then Python starts, so
an answer to the first attempt may have been possible earlier.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

from steps.cluster.kube.probe.rest import Messages

_EVERY_S: Final = 0.01
_ATTEMPT_S: Final = 0.1
"""The longest attempt: a packet that is dropped is not sent again within it."""

LONGEST_S: Final = 60.0
_USAGE: Final = "usage: python -m steps.cluster.kube.probe.first_answer ADDRESS PORT TOKEN\n"
_START: Final = 19
"""The field of /proc/self/stat after the program's name that is its start, in ticks since the machine's boot."""


def age_s() -> float:
    """The time since this process started, seconds."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START]) / os.sysconf("SC_CLK_TCK")


def first_answer(address: str, port: int, token: str, longest_s: float = LONGEST_S) -> dict[str, float | None]:
    """The line that is printed."""
    messages = Messages.of(token)
    began_s = age_s()
    while (now_s := age_s()) < began_s + longest_s:
        try:
            with socket.create_connection((address, port), timeout=_ATTEMPT_S) as opened:
                opened.sendall(messages.request)
                if opened.recv(len(messages.reply)) == messages.reply:
                    return {"answered_s": round(age_s(), 3), "began_s": round(began_s, 3)}
        except OSError:
            pass
        time.sleep(max(0.0, now_s + _EVERY_S - age_s()))
    return {"answered_s": None, "began_s": round(began_s, 3)}


def main(arguments: list[str]) -> int:
    """The command line. Exit code 2 for wrong arguments."""
    match arguments:
        case [address, port, token] if port.isdecimal():
            sys.stdout.write(json.dumps(first_answer(address, int(port), token)) + "\n")
            return 0
        case _:
            sys.stderr.write(_USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
