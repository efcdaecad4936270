"""Find the module that installs a dataplane: an adapter has a folder of them, each called after its dataplane."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from analysis.errors import Unsupported
from steps.catalogue.dataplanes import Dataplane


def find(package: str, entry: Dataplane) -> ModuleType:
    """The module of a dataplane in an adapter's folder.

    `package`: the folder, such as `steps.cluster.lab.dataplanes`.

    Raises:
        Unsupported: there is none, so that the adapter does not know how to install the dataplane.
    """
    name = f"{package}.{entry.module}"
    if find_spec(name) is None:
        raise Unsupported(missing(package, entry))
    return import_module(name)


def missing(package: str, entry: Dataplane) -> str:
    """That the folder has no module for a dataplane, as a sentence."""
    file = f"{package}.{entry.module}".replace(".", "/")
    return f"{entry.name} is in the catalogue, and nothing here installs it: there is no {file}.py."
