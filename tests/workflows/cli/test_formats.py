"""What the verbs print with --format, checked against the schemas in docs/schemas as another program would."""

import contextlib
import csv
import functools
import io
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml

from analysis.console import documents, markdown
from analysis.console.documents import Format
from analysis.store.store import Store
from analysis.summary.run import stored
from steps.cluster.lab import sandbox
from steps.domain import Finding
from steps.imports.readers import formats
from tests.analysis import synthetic
from tests.analysis.synthetic import ENTRIES, Recipe
from tests.steps.imports import written
from workflows.cli import app, plan, reference
from workflows.cli.tables import summary_table

pytestmark = pytest.mark.usefixtures("without_charts")

SCHEMAS = {path.stem: path for path in reference.FILES if path.suffix == ".json"}
HOSTILE = {"name": "beta", "title": "a | b\x1b[31m\u202e <script>", "colour": "#000000"}
SMALL = Recipe(rounds=4, within=0.01, cells=synthetic.QUICK[1:3], entries=(ENTRIES[0], HOSTILE, ENTRIES[2]))
FINDINGS = [
    Finding(
        severity="skip", subject="lab-ebpf", reason="bpftool | is missing", remedy="type `apt-get install bpftool`"
    ),
    Finding(severity="stop", subject="iperf3", reason="it is not installed"),
]


class _Cluster:
    def preflight(self, _settings: object) -> list[Finding]:
        return FINDINGS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("store")
    nights = synthetic.nights(12, {"gamma": (8, 0.8)}, replace(SMALL, trigger="nightly"))
    with synthetic.database(root, *nights) as con:
        stored.store_summary(Store(str(root)), synthetic.summarise(con, "night-11"))
    files = Path(f"{root}-files")
    files.mkdir()
    (files / "iptables.json").write_bytes(written.text(written.tcp()))
    (files / "ebpf \x1b[31m|.json").write_bytes(b'{"hello": 1}')
    for verb in ("import", "report", "site"):
        VERBS[verb][0](str(root), "json")
    return str(root)


@pytest.fixture(autouse=True)
def _inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "is_inside", lambda: True)
    monkeypatch.setattr(plan, "connect_cluster", lambda *_, **__: _Cluster())


SQL = f"""select 1 as n, 2 as n, 'nan'::double as none, '-inf'::double as least, null as missing, [1, null] as list,
'a "b", c' as text, '{HOSTILE["title"]}' as hostile, timestamptz '2026-03-01 22:00:00+00' as at, true as yes"""

HOW = ("--name=a", "--pattern={dataplane}.json", "--topology=pod-to-pod")
"""What is said of the imported files."""

VERBS: dict[str, tuple[Callable[[str, str], int], int]] = {
    "run": (lambda root, wanted: summary_table.print_result(root, "night-11", _format(wanted)), 1),
    "report": (lambda root, wanted: app.main(["report", f"--results={root}", f"--format={wanted}"]), 0),
    "query": (lambda root, wanted: app.main(["query", f"--results={root}", f"--format={wanted}", f"--sql={SQL}"]), 0),
    "question": (
        lambda root, wanted: app.main(["query", f"--results={root}", f"--format={wanted}", "--question=runs"]),
        0,
    ),
    "listing": (lambda root, wanted: app.main(["query", f"--results={root}", f"--format={wanted}"]), 0),
    "plan": (lambda _, wanted: app.main(["plan", "--profile=smoke", "--seed=7", f"--format={wanted}"]), 0),
    "preflight": (lambda _, wanted: app.main(["preflight", f"--format={wanted}"]), 2),
    "import": (
        lambda root, wanted: app.main(
            ["import", f"--results={root}", f"--format={wanted}", f"--files={root}-files", *HOW]
        ),
        1,
    ),
    "site": (lambda root, wanted: app.main(["site", f"--results={root}", f"--format={wanted}"]), 0),
}
"""What calls each verb with a store and a format, and its exit code."""


def _format(text: str) -> Format:
    for known in ("text", "json", "yaml", "csv", "markdown"):
        if known == text:
            return known
    raise AssertionError(text)


@functools.cache
def printed(verb: str, root: str, wanted: str) -> str:
    """The standard output of a verb; each prints the same again, and so is called once."""
    call, code = VERBS[verb]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert call(root, wanted) == code
    return out.getvalue()


def content(verb: str, root: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(verb, root, "json"))
    return found


def strict(schema: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """The schema, but with no field besides those that it names."""
    match schema:
        case dict():
            found = {name: strict(item) for name, item in schema.items()}
            return found | {"additionalProperties": False} if schema.get("properties") else found
        case list():
            return [strict(item) for item in schema]
        case _:
            return schema


def rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """The value with 12 digits of each number: the last of a sum changes with the order of what is summed."""
    match value:
        case float():
            return float(f"{value:.12g}")
        case dict():
            return {name: rounded(item) for name, item in value.items()}
        case list():
            return [rounded(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("verb", VERBS)
def test_json_fits_its_published_schema_and_is_the_yaml(verb: str, store: str) -> None:
    document = content(verb, store)
    schema = json.loads(SCHEMAS[f"{document['document']}-{document['version']}"].read_text())
    jsonschema.validate(document, strict(schema), jsonschema.Draft202012Validator)
    jsonschema.validate(document | {"added later": 1}, schema, jsonschema.Draft202012Validator)
    again = yaml.load(printed(verb, store, "yaml"), yaml.CSafeLoader)  # seven times as fast as the one in Python
    assert rounded(again) == rounded(document)
    assert "\x1b" not in json.dumps(document, ensure_ascii=False)
    assert "\u202e" not in json.dumps(document, ensure_ascii=False)


@pytest.mark.parametrize("verb", VERBS)
def test_csv_has_a_heading_and_rows_of_its_length(verb: str, store: str) -> None:
    head, *rows = csv.reader(io.StringIO(printed(verb, store, "csv")))
    assert rows
    assert {len(row) for row in rows} == {len(head)}


@pytest.mark.parametrize("verb", VERBS)
def test_markdown_tables_are_whole_and_hostile_text_stays_text(verb: str, store: str) -> None:
    text = printed(verb, store, "markdown")
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert tables
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    assert "<script>" not in text
    assert "\x1b" not in text


def test_json_of_a_run_has_its_comparisons_and_changes_as_numbers(store: str) -> None:
    document = content("run", store)
    assert document["run_id"] == "night-11"
    assert document["report"] == f"{store}/reports/night-11/report.html"
    gains = {
        c["dataplane"]: c for c in document["comparisons"] if c["path"] == "pod-to-pod tcp" and c["scale"] == "ratio"
    }
    assert gains["gamma"]["low"] < gains["gamma"]["change"] < gains["gamma"]["high"]
    assert {c["dataplane"] for c in document["changes"] if c["status"] == "regression"} == {"gamma"}
    assert document["regression"] in printed("run", store, "markdown").replace("\\", "")


def test_json_of_a_query_keeps_columns_of_one_name_and_nan(store: str) -> None:
    (row,) = content("query", store)["rows"]
    assert (row["n"], row["n_2"], row["none"], row["least"]) == (1, 2, "NaN", "-Infinity")
    assert (row["missing"], row["list"], row["text"], row["yes"]) == (None, [1, None], 'a "b", c', True)
    assert (row["hostile"], row["at"]) == ("a | b <script>", "2026-03-01T22:00:00Z")


def test_json_of_a_query_has_decimals_as_numbers(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select sum(n) as total, [sum(n)] as several, {'x': 0.5} as pair from (select unnest([1, 20]) as n)"
    assert app.main(["query", f"--results={store}", "--format=json", f"--sql={sql}"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [{"total": 21, "several": [21], "pair": {"x": 0.5}}]


def test_progress_stands_beside_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    documents.aside("json").print("beside")
    documents.aside("text").print("above")
    assert capsys.readouterr() == ("above\n", "beside\n")


def test_run_without_a_report_prints_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary_table.print_result(str(tmp_path), "night-11", "json", "settle: it failed") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "settle: it failed." in err


def test_unknown_format_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["plan", "--format=xml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "xml" in err
    assert "markdown" in err


@pytest.mark.parametrize("text", ["a`b``c", "plain", "`"])
def test_code_with_backticks_is_one_span(text: str) -> None:
    span = markdown.code(text)
    fence = re.match("`+", span)
    assert fence is not None
    assert fence[0] not in re.split("(?<!`)" + fence[0] + "(?!`)", span)[1]
    assert text in span


def test_markdown_links_only_web_pages() -> None:
    assert markdown.link("Report", "https://a.example/report.html") == "[Report](<https://a.example/report.html>)"
    assert markdown.link("Report", "s3://b/report.html") == "Report: `s3://b/report.html`"


def test_import_document_says_what_became_of_each_run_and_file(store: str) -> None:
    document = content("import", store)
    assert document["runs"] == [{"run_id": "imported_a_all", "files": 1, "trials": 1, "failed": 0, "changed": False}]
    assert [fault.partition(": ")[2] for fault in document["faults"]] == [formats.UNKNOWN]


def test_site_document_has_the_number_of_pages(store: str) -> None:
    document = content("site", store)
    assert (document["written"], document["broken"]) == (0, [])
    assert document["unchanged"] > 12, "a page for each night and more"
    assert document["address"] == f"{store}/site/index.html"


@pytest.fixture
def broken() -> Iterator[None]:
    """A standard error whose reader has gone."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", Gone())
        patch.setattr("analysis.console.terminal.discard_buffered", lambda _stream: None)
        yield


@pytest.mark.usefixtures("broken")
def test_closed_progress_output_does_not_end_a_run() -> None:
    documents.aside("json").print("beside")


def test_number_that_is_not_finite_is_null_where_it_can_be() -> None:
    class End(documents.Item):
        low: float | None
        most: float
        text: str

    ends = SimpleNamespace(low=-math.inf, most=math.inf, text="of the object")
    assert End.of(ends, text="given") == End(low=None, most=math.inf, text="given")
    assert End.of(SimpleNamespace(low=0.5, most=1.0), text="").low == pytest.approx(0.5)
