"""What tests of all parts share."""

import pytest
from hypothesis import settings

from tests.ordinary import find_python

# How long an example takes is the machine's affair, which may be busy.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@pytest.fixture(scope="session")
def ordinary_python() -> str:
    """A Python that an ordinary user may run and that finds the project and its packages."""
    found = find_python()
    if found is None:
        pytest.skip("no Python of this version that an ordinary user may run and that can read this checkout")
    return found
