"""What a kernel holds for itself, by /proc/meminfo."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

MEMINFO: Final = Path("/proc/meminfo")
_KIB: Final = 1024


def held_bytes(fields: Iterable[str], meminfo: Path = MEMINFO) -> int | None:
    """The sum of some fields, such as `Slab`; None: one can't be read."""
    try:
        values = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        return sum(int(values[name].split()[0]) for name in fields) * _KIB
    except (OSError, KeyError, ValueError, IndexError):
        return None
