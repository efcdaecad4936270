from pathlib import Path

import pytest

from tests.steps.extensions.copy import Copy


@pytest.fixture
def copied(tmp_path: Path) -> Copy:
    return Copy(tmp_path)
