"""The address space that an analysis needs, and limits of it (`ulimit -v`) that are too low."""

import os
import resource
from typing import Final

from analysis.errors import Unsupported

ADDRESSES_BYTES: Final = 67 * 2**30
"""Address space, not memory: the library that draws the charts reserves so much and uses little of it."""

QUERY_BYTES: Final = 4 * 2**30
"""Address space above which a query's threads can be started on a machine of a few cores."""

_KIB: Final = 1024


def is_limited() -> bool:
    """Whether this process has a limit of its address space."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def spare_addresses() -> None:
    """Under a limit, make Arrow use the system's allocator, in this process and its children.

    Arrow's own reserves 1 GiB of addresses at once, after which no threads can be started. Call before importing Arrow.
    """
    if is_limited():
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def shortage() -> str | None:
    """Why no report can be made under this process's limit, with the remedy; None where one can."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if not is_limited() or limit >= ADDRESSES_BYTES:
        return None
    return (
        f"the report can't be made under the limit of memory that is set here (ulimit -v {limit // _KIB}), for drawing "
        f"charts reserves {ADDRESSES_BYTES // 2**30} GiB of addresses: type `ulimit -v unlimited`"
    )


def memory_limit_warning() -> str | None:
    """Why a query may crash under this process's limit; None where that is unlikely.

    The libraries that read a store crash where they can't start a thread, which nothing can catch.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if not is_limited() or limit >= QUERY_BYTES:
        return None
    return (
        f"Beware: the limit of memory that is set here (ulimit -v {limit // _KIB}) is so low that reading the store "
        "may crash; if it does, type `ulimit -v unlimited`."
    )


def require() -> None:
    """Check that a report can be made.

    Raises:
        Unsupported: the limit of memory is too low.
    """
    if why := shortage():
        raise Unsupported(f"{why[0].upper()}{why[1:]}.")
