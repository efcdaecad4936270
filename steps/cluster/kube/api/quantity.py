"""Quantities of Kubernetes, versions, and the instance types of providers."""

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

_AWS_SIZE: Final = r"\.(?:nano|micro|small|medium|large|\d*xlarge|metal(?:-\d+xl)?)"
_BURSTABLE: Final = (
    re.compile(r"t[1-9]\d*[a-z]{0,2}" + _AWS_SIZE),
    re.compile(r"Standard_B\d+\w*"),
    re.compile(r"e2-(?:custom-)?(?:micro|small|medium)(?:-\d+)?|f1-micro|g1-small"),
)
"""AWS's T families, Azure's B series, and Google's types with shared cores."""

_STEADY: Final = (
    # m1, c1 and the like are names of OpenStack too
    re.compile(
        r"(?:(?:[acdfghimprxz]|dl|hpc|im|inf|is|trn|vt)(?:[2-9]|1\d)[a-z-]*|u-\d+tb\d*|u7[a-z]*-\d+tb)" + _AWS_SIZE
    ),
    re.compile(r"(?:a1|d1|f1|g1|i1|p1|x1|x1e|z1d|inf1|trn1n?|vt1|dl1)" + _AWS_SIZE),
    re.compile(r"Standard_(?:A|D|DC|E|EC|F|FX|G|GS|H|HB|HC|HX|L|M|N[CDGPV])S?\d+\w*(?:-\d+\w*)?"),
    re.compile(
        r"(?:a[2-4]|c[234]a?d?|e2|g[24]|h[34]d?|m[1-4]|n[124]d?|t2[ad]|x4|z3)-(?!custom-(?:micro|small|medium))[a-z]+(?:-\w+)*"
    ),
)
"""Their other families, as far as no other provider uses the names."""


def amount(text: str) -> float:
    """A quantity in its base unit, such as cores or bytes: `1500m`, `64Mi`, `1G`; 0 if it is no number."""
    found = _SIZE.fullmatch(text)
    return float(found[1]) * _FACTORS[found[2]] if found else 0.0


def version(text: str) -> tuple[int, int, int] | None:
    """Major, minor and patch of a version such as `v3.32.1`; None if it has none."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def is_burstable(instance_type: str) -> bool | None:
    """Whether an instance type has burst credits, so that its throughput falls when they run out.

    None for types outside the families of AWS, Azure and Google, since other providers reuse their names.
    """
    if any(pattern.fullmatch(instance_type) for pattern in _BURSTABLE):
        return True
    return False if any(pattern.fullmatch(instance_type) for pattern in _STEADY) else None
