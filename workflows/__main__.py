"""The command line. Ctrl-C ends it with a sentence even while it imports."""

import gc
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""128 and SIGINT's number, as in a shell."""


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    # Not an exception, which some imports would swallow.
    os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _end_at_once)
    # With several threads, OpenBLAS hangs where a limit of memory keeps it from starting them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The lab's sandbox starts this program with SIGINT blocked, until there is this handler.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # Almost all that imports make stays: by default the garbage collector would look through it again and again.
    gc.set_threshold(20_000)
    from workflows.cli.app import main

    sys.exit(main(sys.argv[1:]))
