"""What an analysis needs of a process's memory, and a limit on it that is too low."""

import os
import resource
from typing import Final

from analysis.errors import Unsupported

ADDRESSES_BYTES: Final = 67 * 2**30
"""Of address space, not of memory: the library that draws the charts reserves so much and uses little of it."""

QUERY_BYTES: Final = 4 * 2**30
"""Of address space, above which a query's threads can be started on a machine of a few cores."""

_KIB: Final = 1024


def is_limited() -> bool:
    """Whether this process has a limit of its address space."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def spare_addresses() -> None:
    """Under a limit have Arrow use the system's allocator, here and in all processes that are started from here.

    Its own reserves 1 GiB of addresses at once, after which threads can't be started any more. To be called before
    Arrow is loaded.
    """
    if is_limited():
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def shortage() -> str | None:
    """Why no report can be made under the limit that this process has, with the remedy; None where one can."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if not is_limited() or limit >= ADDRESSES_BYTES:
        return None
    return (
        f"the report can't be made under the limit of memory that is set here (ulimit -v {limit // _KIB}), for drawing "
        f"charts reserves {ADDRESSES_BYTES // 2**30} GiB of addresses: type `ulimit -v unlimited`"
    )


def memory_limit_warning() -> str | None:
    """Why a query may end without a word under the limit that this process has; None where it hardly can.

    The libraries that read a store crash where a thread of theirs can't be started, which nothing can catch.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if not is_limited() or limit >= QUERY_BYTES:
        return None
    return (
        f"Beware: the limit of memory that is set here (ulimit -v {limit // _KIB}) is so low that reading the store "
        "may crash; if it does, type `ulimit -v unlimited`."
    )


def require() -> None:
    """See that a report can be made.

    Raises:
        Unsupported: the limit of memory is too low; the sentence says what to do.
    """
    if why := shortage():
        raise Unsupported(f"{why[0].upper()}{why[1:]}.")
