"""Why a measuring program's output is no measurement."""

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """Why there is no report, as a sentence."""

    reason: str
