"""The peak of this program's memory."""

import re
from pathlib import Path


def peak_bytes() -> int:
    """The most bytes of memory that were resident since this program began: VmHWM of proc(5).

    Not `ru_maxrss` of getrusage(2): that of a child begins with what its parent had when it forked.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
