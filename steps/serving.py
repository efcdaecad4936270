"""The end of a program that serves until it is killed."""

import sys
from collections.abc import Callable


def exit_code(serve: Callable[[], object], place: str) -> int:
    """Serve until killed or interrupted.

    Args:
        serve: does not return by itself.
        place: where it listens, for the sentence on stderr: `echo server: port 5204`.

    Returns:
        1 where the place is unavailable, 130 after an interrupt.
    """
    try:
        serve()
    except (OSError, OverflowError) as error:  # the second is of a port's number
        sys.stderr.write(f"{place} is unavailable: {getattr(error, 'strerror', None) or error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
