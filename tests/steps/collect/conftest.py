from pathlib import Path

import pytest

from tests.steps.builders import write_run
from tests.steps.collect.collected import CHOSEN


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a complete run's documents."""
    write_run(tmp_path, CHOSEN)
    return tmp_path
