"""The command line, from the first moment on: Ctrl-C while everything is being imported is a sentence, too."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""128 and SIGINT's number, as a shell has it."""


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    # No exception, which would have to find its way out of whatever is being imported, and is lost on some ways.
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _end_at_once)
    # With several threads, OpenBLAS tries for ever where a limit of memory keeps it from starting them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # In the lab's sandbox we are started with it held back, so that it finds this handler and not a half-started
    # Python.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from workflows.cli.app import main

    sys.exit(main(sys.argv[1:]))
