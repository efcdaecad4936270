"""What tests of a cluster share."""

import pytest

from steps.cluster.kube.ownership import takeover


@pytest.fixture
def no_wait_for_lost_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what a dead run left without waiting for its last pods, which no fake ends."""
    monkeypatch.setattr(takeover, "_LAST_WRITES_S", 0.0)
