"""Kubernetes' and kernels' ways to write numbers."""

import re
from typing import Final

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_SIZE: Final = re.compile(r"(\d+(?:\.\d*)?(?:[eE]\d+)?)([KMGTPE]i|[kMGTPEm]?)")
_FACTORS: Final = {
    "": 1.0,
    "m": 1e-3,
    **{letter: 1e3**power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)},
}


def cores(text: str) -> float:
    """A CPU quantity in cores: `2` or `1500m`; 0 where it is no number."""
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return 0.0


def size_bytes(text: str) -> float:
    """A memory quantity in bytes: `64Mi`, `1G` or `1024`; 0 where it is no number."""
    found = _SIZE.fullmatch(text)
    return float(found[1]) * _FACTORS[found[2]] if found else 0.0


def number(text: str) -> tuple[int, int] | None:
    """Major and minor of a version such as `6.1.0-13-amd64`; None where it has none."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else None


def version(text: str) -> tuple[int, int, int] | None:
    """Major, minor and patch of a version such as `v3.32.1`; None where it has none."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def is_burstable(family: str) -> bool:
    """Whether an instance family's speed lives on credits, as AWS's t2, t3, t3a and t4g do."""
    return re.fullmatch(r"t\d+[a-z]*", family) is not None
