"""Where a template says that a step finds its input artifacts and leaves its outputs."""

from typing import Final

OUTPUTS: Final = "/tmp/hera-outputs"  # noqa: S108 - the name by which templates know it; each step gets its own
INPUTS: Final = "/tmp/hera-inputs/artifacts"  # noqa: S108
