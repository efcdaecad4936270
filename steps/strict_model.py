"""The base of everything that steps hand to each other or write into documents: strict, immutable models."""

from pydantic import BaseModel, ConfigDict, ValidationError


class StrictModel(BaseModel):
    """Immutable; an unknown field is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def faults_of(error: ValidationError) -> list[str]:
    """Each fault that pydantic found, as a part of a sentence: `services: Input should be ...`."""
    faults = []
    for each in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        faults.append(f"{where + ': ' if where else ''}{each['msg'].removeprefix('Value error, ')}")
    return faults
