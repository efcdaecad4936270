"""The artifacts that a step reads and writes, and its output parameters."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as the annotation of a parameter, which is its path in the step's pod.

    Attributes:
        key: where the artifact repository keeps it; may have tags.
        output: the step writes it. Argo stores it even where the step fails. Otherwise the step reads it.
        optional: an input that may be missing; its path is None then.
    """

    name: str
    key: str
    output: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a step returns: an output parameter for each field of a subclass, a text as it is, all else as JSON.

    Attributes:
        exit_code: of the step, whose outputs are kept with any.
    """

    exit_code: int = 0

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the output parameters, in their order."""
        return tuple(field.name for field in fields(cls) if field not in fields(Outputs))


def artifacts_of(step: Callable[..., object]) -> dict[str, Artifact]:
    """The artifacts of a step, by the parameters that have them."""
    return {
        parameter.name: artifact
        for parameter in inspect.signature(step).parameters.values()
        for artifact in getattr(parameter.annotation, "__metadata__", ())
        if isinstance(artifact, Artifact)
    }
