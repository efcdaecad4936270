"""Each verb closes the connections to DuckDB that it opens, also where it ends with an error."""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from analysis.errors import BadInput, Unsupported
from analysis.sql import database, shell
from analysis.store.store import Store
from tests.analysis import synthetic
from workflows.cli import results as stored

pytestmark = pytest.mark.usefixtures("without_charts")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[database.Connection]:
    found: list[database.Connection] = []
    connect = database.connect

    def counted(*args: Any, **more: Any) -> database.Connection:  # noqa: ANN401 - as connect takes them
        found.append(connect(*args, **more))
        return found[-1]

    monkeypatch.setattr(database, "connect", counted)
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("results")
    synthetic.stored(root, synthetic.Recipe(rounds=2, cells=synthetic.QUICK[1:2]))
    return str(root)


def typed(*lines: str | type[BaseException]) -> Callable[[str], str]:
    left: Iterator[str | type[BaseException]] = iter((*lines, EOFError))

    def read(_: str) -> str:
        line = next(left)
        if isinstance(line, str):
            return line
        raise line

    return read


def is_closed(con: database.Connection) -> bool:
    try:
        con.execute("select 1")
    except duckdb.ConnectionException:
        return True
    return False


@pytest.mark.parametrize(
    ("verb", "connections"),
    [
        pytest.param(lambda results: stored.print_answer(sql="select 1 as a", results=results), 1, id="query-sql"),
        pytest.param(lambda results: stored.print_answer(question="latest", results=results), 1, id="query-question"),
        pytest.param(lambda results: stored.print_answer(results=results), 1, id="query-columns"),
        pytest.param(lambda results: stored.report_again(results=results), 2, id="report"),
        pytest.param(lambda results: shell.run_shell(Store(results), read=typed("select 1;", ".open")), 2, id="shell"),
    ],
)
def test_verb_closes_its_duckdb_connections(
    verb: Callable[[str], int], connections: int, results: str, opened: list[database.Connection]
) -> None:
    assert verb(results) == 0
    assert len(opened) == connections
    assert all(map(is_closed, opened))


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        pytest.param(lambda results: stored.print_answer(sql="selec", results=results), BadInput, id="query-sql"),
        pytest.param(
            lambda results: stored.print_answer(question="latst", results=results), BadInput, id="query-question"
        ),
        pytest.param(lambda results: stored.report_again(run="run-9", results=results), BadInput, id="report"),
        pytest.param(
            lambda results: shell.run_shell(Store(results), read=typed(RuntimeError)), RuntimeError, id="shell"
        ),
    ],
)
def test_failing_verb_closes_its_duckdb_connections(
    verb: Callable[[str], int], error: type[Exception], results: str, opened: list[database.Connection]
) -> None:
    with pytest.raises(error):
        verb(results)
    assert opened
    assert all(map(is_closed, opened))


def test_shell_that_can_not_reopen_the_store_keeps_its_connection(
    results: str, opened: list[database.Connection], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse_later(text: str) -> str:
        if opened and len(opened) == 1 and not refused:
            refused.append(text)

            def refuse(*_: object, **__: object) -> database.Connection:
                raise Unsupported("the store is gone")

            monkeypatch.setattr(database, "connect", refuse)
            return ".open"
        return lines(text)

    refused: list[str] = []
    lines = typed("select 7 as x;")
    assert shell.run_shell(Store(results), read=refuse_later) == 0
    assert capsys.readouterr().out.splitlines() == ["the store is gone", "x", "7"]
    assert all(map(is_closed, opened))
