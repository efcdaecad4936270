"""The store of a verb, and other files that it writes, opened only where root may use them."""

from analysis.addresses import site_problem
from analysis.console.notices import print_notice
from analysis.errors import Problem
from analysis.store.index.left_out import sentences
from analysis.store.integrity.audit import EVERY
from analysis.store.storage import trust
from analysis.store.storage.object_storage import ObjectStorage
from analysis.store.storage.urls import parse_url
from analysis.store.store import Store


def open_store(results: str, *, as_owner: bool, create: bool = False) -> Store:
    """The store at an address.

    `as_owner`: whether root uses a folder of another user as that user. `create`: whether a missing folder is made.

    Raises:
        BadInput: the address is invalid.
        Unsupported: another user controls the folder, and `as_owner` is not given or does not help.
    """
    _use(results, as_owner=as_owner, create=create)
    return Store(results)


def open_for_run(results: str, *, as_owner: bool, dry: bool = False) -> Store:
    """The store that a run is to write, checked before anything is measured; notices name the runs that it leaves out.

    `as_owner`: as of `open_store`. `dry`: whether to change nothing, as where a run is only thought of.

    Raises:
        Problem: as of `open_store`, or the store can't be read or written.
    """
    store = open_store(results, as_owner=as_owner, create=not dry)
    store.check_writable(dry=dry)
    # What the report needs is read now, rather than after an hour of measuring.
    for sentence in sentences(store.inventory(EVERY).left_out):
        print_notice(sentence)
    return store


def open_site(address: str, *, as_owner: bool) -> ObjectStorage:
    """The files at the address of a site; arguments and errors as of `open_store`."""
    try:
        _use(address, as_owner=as_owner, create=True)
        return ObjectStorage(address)
    except Problem as problem:
        raise type(problem)(site_problem(str(problem))) from problem


def _use(url: str, *, as_owner: bool, create: bool) -> None:
    address = parse_url(url)
    if address.local:
        trust.use_folder(address.root, as_owner=as_owner, create=create)
