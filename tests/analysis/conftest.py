"""What the tests of the analysis share."""

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.browser import cached_browser


@pytest.fixture(autouse=True, scope="module")
def _closed_connections() -> Iterator[None]:
    """Close the DuckDB connections that a module leaves open: each holds memory, threads and files."""
    opened: list[duckdb.DuckDBPyConnection] = []
    connect = duckdb.connect

    def remember(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:  # noqa: ANN401 - DuckDB's own
        opened.append(connect(*arguments, **options))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb, "connect", remember)
        yield
    for connection in opened:
        connection.close()


@pytest.fixture
def undrawn_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are made up to their drawing, which is empty: for tests that look at which there are, with what text."""
    monkeypatch.setattr("analysis.charts.to_svg", lambda *_: "<svg/>")


@pytest.fixture(scope="session")
def chromium() -> None:
    """Skips a test where no browser starts."""
    if cached_browser() is None:
        pytest.skip("no Chromium that starts on this machine: apt-get install chromium")
