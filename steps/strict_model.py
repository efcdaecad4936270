"""The base of everything that steps hand to each other or write into documents: strict, immutable, bounded models."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

LONGEST_TEXT: Final = 100_000
"""Characters of a text without a bound of its own."""

Instant = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]
"""A time of day with its zone, within a range in which it can be calculated with."""

Seconds = Annotated[float, Field(ge=0, le=1e9)]
"""A duration."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A count, as large as the tables' smallest columns take."""


class StrictModel(BaseModel):
    """Immutable; an unknown field is an error, and so are a number that is not finite and an overlong text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=LONGEST_TEXT)


def faults_of(error: ValidationError) -> list[str]:
    """Each fault that pydantic found, as a part of a sentence: `services: Input should be ...`."""
    faults = []
    for each in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        faults.append(f"{where + ': ' if where else ''}{each['msg'].removeprefix('Value error, ')}")
    return faults
