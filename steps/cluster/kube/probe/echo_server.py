"""An echo server: `python -m steps.cluster.kube.probe.echo_server PORT TOKEN` replies to requests with the token."""

import asyncio
import contextlib
import sys
from typing import Final

from steps.cluster.kube.probe import echo
from steps.cluster.kube.probe.rest import Messages, Rest
from steps.serving import exit_code

_USAGE: Final = "usage: python -m steps.cluster.kube.probe.echo_server PORT TOKEN\n"


async def serve(port: int, token: str) -> None:
    """Reply until cancelled.

    Raises:
        OSError: the port is unavailable.
    """
    async with contextlib.AsyncExitStack() as stack:
        await echo.serve_echo(port, Rest(Messages.of(token), learns=False), stack)
        await asyncio.Event().wait()


def main(arguments: list[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr when the port is unavailable, 2 for wrong arguments."""
    match arguments:
        case [port, token] if port.isdecimal():
            pass
        case _:
            sys.stderr.write(_USAGE)
            return 2
    return exit_code(lambda: asyncio.run(serve(int(port), token)), f"echo server: port {port}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
