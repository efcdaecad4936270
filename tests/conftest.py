"""What tests of all parts share."""

import hypothesis
import pytest

from tests.ordinary import find_python

# How long an example takes is the machine's business: with a deadline a test would fail for what runs beside it.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def ordinary_python() -> str:
    """A Python that an ordinary user may run and that finds the project and its packages."""
    found = find_python()
    if found is None:
        pytest.skip("no Python of this version that an ordinary user may run and that can read this checkout")
    return found
