"""Errors for users: each message is a sentence, and each class has the exit code of the command line."""

from typing import Final

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as in a shell: 128 and the signal's number."""


class Problem(Exception):  # noqa: N818 - a problem of the user, reported to the user
    """Something went wrong; the message names the object, what was wrong and what to do."""

    exit_code = 1


class BadInput(Problem):
    """The input is invalid; nothing was started."""

    exit_code = 2


class Unsupported(Problem):
    """This machine, cluster or store can't do this; nothing was measured."""

    exit_code = 2


class DamagedFileError(Unsupported):
    """One file of the store can't be used; all others can. `why` is a clause: what is wrong with the file."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} {why}")
        self.why = why
