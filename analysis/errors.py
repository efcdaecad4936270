"""The errors that a person is meant to read: sentences, each with the exit code that the command line gives it."""


class Problem(Exception):  # noqa: N818 - a problem of the user, reported to the user
    """Something went wrong; the message is a sentence that names the thing, what was wrong and what to do."""

    exit_code = 1


class BadInput(Problem):
    """What was asked for makes no sense; nothing was started."""

    exit_code = 2


class Unsupported(Problem):
    """This machine, cluster or store can't do what was asked; nothing was measured."""

    exit_code = 2


class DamagedFileError(Unsupported):
    """One file of the store can't be used; all others can. `why` says what is wrong with it, as a clause."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} {why}")
        self.why = why
