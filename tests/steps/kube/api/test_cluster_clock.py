"""Steps on nodes whose clocks differ compare times by the API server's clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.errors import Problem
from steps import documents
from steps.cluster.kube.api.client import Client
from steps.tasks import configure, restore
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.test_adapter import RUN, kube, settings, visit

SERVERS = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_ENVIRONMENT", "prod")


def test_times_of_documents_are_by_the_api_servers_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "now", lambda _self: SERVERS)
    cluster = kube(Calico(), RUN)
    monkeypatch.setattr(cluster, "prepare", lambda *_given: [])
    monkeypatch.setattr(cluster, "await_switch", lambda *_given: None)
    configure._prepare(cluster, visit("iptables"), settings(), tmp_path / "prepare.json")
    assert documents.read_document(tmp_path / "prepare.json", documents.Prepare).prepared_at == SERVERS
    monkeypatch.setattr(restore, "connect_cluster", lambda _environment: cluster)
    restore.restore(tmp_path / "restore.json")
    assert documents.read_document(tmp_path / "restore.json", documents.Restore).finished_at == SERVERS


def test_restore_does_not_end_where_the_api_server_tells_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def untold(_self: Client) -> datetime:
        raise Problem("prod: the API server's answers have no Date header: a proxy may remove it.")

    monkeypatch.setattr(Client, "now", untold)
    assert abs(kube(Calico(), RUN).now() - datetime.now(UTC)) < timedelta(minutes=1)
