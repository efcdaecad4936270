"""The paths that a template gives to a step's input artifacts and outputs; each step has directories of its own."""

from typing import Final

OUTPUTS: Final = "/tmp/hera-outputs"  # noqa: S108
INPUTS: Final = "/tmp/hera-inputs/artifacts"  # noqa: S108
