"""The store of a verb, opened only where root may use it."""

from analysis.store import trust
from analysis.store.store import Store
from analysis.store.urls import parse_url


def open_store(results: str, *, as_owner: bool, create: bool = False) -> Store:
    """The store at an address.

    Args:
        results: the address.
        as_owner: whether root uses a folder of another user as that user.
        create: whether a missing folder is made.

    Raises:
        BadInput: the address is invalid.
        Unsupported: another user controls the folder, and `as_owner` is not given or does not help.
    """
    address = parse_url(results)
    if address.local:
        trust.use_folder(address.root, as_owner=as_owner, create=create)
    return Store(results)
