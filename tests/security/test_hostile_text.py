"""Text of others, in a store, a log or an error, reaches no terminal as a control sequence, and none as markup."""

import ast
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings

from analysis.console.notices import print_notice
from analysis.console.sanitizing import SanitizedStream, sanitize_standard_error
from analysis.console.terminal import Terminal, Text
from analysis.errors import Problem
from analysis.sql.shell import run_shell
from analysis.sql.table_output import print_table
from analysis.store.store import Store
from analysis.summary.answer.answer import Answer
from analysis.summary.figures.failures import FailureCount
from analysis.summary.run.summary import SkippedChoice, Summary
from steps import notification
from steps.tasks.shared.step import ends_in_a_sentence
from tests.analysis import synthetic
from tests.analysis.summary.comparisons import answer_of, compared, run_of
from tests.analysis.test_terminal import HOSTILE, TEXTS, is_harmless
from tests.steps.kube.api.kubeconfigs import document as kubeconfig
from tests.steps.kube.api.kubeconfigs import written
from tests.steps.kube.fakes.api import Api, Fault
from tests.steps.kube.fakes.store import Store as ClusterStore
from workflows.cli.app import main
from workflows.cli.tables.summary_table import print_summary

ROOT: Final = Path(__file__).resolve().parents[2]
MARKUP: Final = "[/nope] [link=http://x]y[/link] :warning:"
TEXT: Final = f"{MARKUP} {''.join(part for part in HOSTILE if part.isprintable() or part.isascii())}\x9b2J\u202e end"
"""What others may have written: valid as UTF-8, and so as a column of Parquet."""

ASKED: Final = sorted(f".ask {path.stem}" for path in (ROOT / "analysis" / "queries").glob("*.sql"))


def hostile_rows() -> dict[str, list[dict[str, Any]]]:
    """A run on a cluster, each text of it hostile that no pattern holds."""
    entries = tuple(entry | {"title": f"{entry['title']} {TEXT}"} for entry in synthetic.ENTRIES[:2])
    finding = {"subject": f"gamma {TEXT}", "reason": f"its kernel {TEXT}", "remedy": TEXT}
    recipe = synthetic.Recipe(
        environment=f"prod {TEXT}", entries=entries, rounds=2, cells=synthetic.QUICK[1:3], skipped=(finding,)
    )
    rows = synthetic.rows(recipe)
    (run,) = rows["runs"]
    run |= {"provenance": json.dumps({f"kernel {TEXT}": TEXT, "nodes": [TEXT]}), "trigger": f"local {TEXT}"}
    for visit in rows["visits"]:
        visit |= {"changes": [TEXT], "error": f"the switch failed: {TEXT}"}
        visit["evidence"] = [sign | {"seen": TEXT, "looked_at": TEXT, "node": TEXT} for sign in visit["evidence"]]
    rows["visits"][-1] |= {"proof": "unproven", "proof_reason": TEXT}
    for trial in rows["trials"][::2]:
        trial |= {"flags": [f"{TEXT}: why"]}
    rows["trials"][-1] |= {"outcome": "failed", "error": f"iperf3: {TEXT}"}
    return rows


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("hostile")
    Store(str(root)).write("run-1", hostile_rows())
    return str(root)


def assert_harmless(*texts: str) -> None:
    for text in texts:
        assert is_harmless(text)


@pytest.mark.parametrize(
    "verb",
    [
        ["report"],
        *([f"query --sql=select * from {table}"] for table in ("runs", "visits", "trials", "left_out")),
        ["query", f"--sql=select {TEXT}"],
        ["query", f"--question={TEXT}"],
        ["report", f"--run={TEXT}"],
        [f"{TEXT}"],
        ["query", f"--{TEXT}"],
    ],
    ids=lambda verb: verb[0].partition(" ")[0] + str(len(verb[0])),
)
def test_verb_prints_no_control_character_of_a_store(
    verb: list[str], results: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = verb[0].split(" ", 1) if "--" in verb[0] else verb
    main([*words, f"--results={results}"])
    out, err = capsys.readouterr()
    assert out or err
    assert_harmless(out, err)
    assert "Traceback" not in err
    if words[0] == "report" and len(words) == 1:
        assert "[/nope]" in out, "which is shown as it is"
        assert "[link=http://x]y[/link] :warning:" in " ".join(out.split())
        assert_harmless(Path(results, "reports", "run-1", "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_shell_prints_no_control_character_of_a_store(
    results: str,
    is_terminal: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = iter(
        ["select * from runs;", "select * from visits;", f"select '{MARKUP}' as a;", f".ask {TEXT}", f"{TEXT};", *ASKED]
    )

    def read(_prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    out = io.StringIO()
    console = Terminal(file=out, width=4000, force_terminal=is_terminal, color_system=None, legacy_windows=False)
    assert run_shell(Store(results), console, read) == 0
    assert_harmless(out.getvalue(), *capsys.readouterr())
    assert MARKUP in out.getvalue()


@settings(max_examples=60)
@given(TEXTS, TEXTS)
def test_summary_prints_no_control_character(first: str, second: str) -> None:
    found = replace(
        synthetic_summary(),
        headline=first,
        doubts=(second,),
        answer=synthetic_answer(first, second),
        failures=(FailureCount(first, 2, (second,)), FailureCount(second, 0, (first,))),
        skipped=(SkippedChoice(first, second, first),),
        disclaimer=second,
    )
    out = io.StringIO()
    print_summary(found, Terminal(file=out, width=4000, color_system=None))
    assert_harmless(out.getvalue())
    body = notification.message("run-1", first, "Failed", second, found, restored=False)
    assert is_harmless(body["text"])
    assert is_harmless(body["markdown"])


def synthetic_answer(first: str, second: str) -> Answer:
    """An answer in which every text that a store may have is one of these."""
    about = replace(run_of({"a": first, "b": second}), run_id=first, environment=second)
    return answer_of(about, [replace(c, path=first, reason=second) for c in compared({"a": 1.0, "b": 1.2}, 0.2)])


def synthetic_summary() -> Summary:
    return Summary("run-1", "prod", "measured", False, "", "alpha", 2, 4, 4, 0, 0)  # noqa: FBT003


@settings(max_examples=60)
@given(TEXTS)
def test_table_and_styled_text_are_printed_literally(text: str) -> None:
    out = io.StringIO()
    console = Terminal(file=out, width=4000, color_system=None)
    encodable = text.encode(errors="replace").decode()
    print_table(pa.table({encodable: [f"{MARKUP}{encodable}"]}), console)
    console.print(Text(f"{MARKUP}{text}", style="red"), f"{MARKUP}{text}", soft_wrap=True)
    assert_harmless(out.getvalue())
    assert out.getvalue().count(MARKUP) == 3


@settings(max_examples=60)
@given(TEXTS)
def test_failed_step_leaves_no_control_character(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    log = tmp_path_factory.getbasetemp() / "termination-log"

    @ends_in_a_sentence
    def step() -> None:
        raise Problem(f"it failed: {text}")

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_TERMINATION_LOG", str(log))
        patch.setattr(sys, "stderr", printed)
        with pytest.raises(SystemExit):
            step()
    assert_harmless(printed.getvalue(), log.read_text(encoding="utf-8"))
    assert printed.getvalue().startswith("it failed: ")


def _show_traceback(text: str) -> None:
    error = LookupError(text)
    sys.excepthook(LookupError, error, error.__traceback__)


def _log(text: str) -> None:
    assert logging.lastResort is not None
    logging.lastResort.handle(logging.LogRecord("urllib3", logging.WARNING, "", 0, "%s", (text,), None))


WRITERS: Final[dict[str, Callable[[str], None]]] = {
    "traceback": _show_traceback,
    "log": _log,
    "notice": print_notice,
    "print": lambda text: print(text, file=sys.stderr),  # noqa: T201
}


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=40)
@given(TEXTS)
def test_standard_error_has_no_control_character(writer: str, text: str) -> None:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", printed)
        sanitize_standard_error()
        sanitize_standard_error()
        WRITERS[writer](f"it failed: {text}")
        assert isinstance(sys.stderr, SanitizedStream)
    assert_harmless(printed.getvalue())
    assert printed.getvalue()


def test_unexpected_error_of_a_verb_has_no_control_character(tmp_path: Path) -> None:
    """In a process of its own, since Python prints the traceback as it ends."""
    program = (
        "import sys; from workflows.cli import app\n"
        "def fail(*_): raise LookupError(sys.argv[1])\n"
        "app.app = fail; sys.exit(app.main(['query']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, TEXT.replace("\0", "")],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    output = done.stderr.decode()
    assert done.returncode == 1
    assert "LookupError: " in output
    assert_harmless(output)


CLUSTER_VERBS: Final = (
    ["configure", "--environment=staging", "--dataplane=ebpf"],
    ["settle", "--environment=staging", "--dataplane=ebpf"],
    ["restore", "--environment=staging"],
    ["restore", "--environment=staging", "--dry-run"],
    ["deploy", "--context=staging"],
    ["submit", "--context=staging"],
    ["undeploy", "--context=staging"],
)
STATUS: Final = {"kind": "Status", "reason": TEXT, "message": TEXT, "details": {"name": TEXT, "kind": TEXT}}


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("verb", CLUSTER_VERBS, ids=lambda verb: "-".join(verb[:1] + verb[2:]).replace("--", ""))
def test_verb_prints_no_control_character_of_an_api_server(
    verb: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api = Api(ClusterStore())
    api.faults = [Fault("garbage", times=10**6, status=status, body=json.dumps(STATUS).encode())]
    with api.running():
        for name, value in written(tmp_path, kubeconfig(cluster={"server": api.url})).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("BENCHMARK_NAMESPACE", "argo")
        code = main(verb)
    out, err = capsys.readouterr()
    assert code != 0 or status == 404
    assert api.answered > 0
    assert_harmless(out, err)
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", CLUSTER_VERBS[2:], ids=lambda verb: "-".join(verb[:1] + verb[2:]).replace("--", ""))
def test_verb_prints_no_control_character_and_no_password_of_a_kubeconfig(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = f"https://user:s3cret@127.0.0.1:1/{TEXT}"
    for name, value in written(tmp_path, kubeconfig(cluster={"server": server})).items():
        monkeypatch.setenv(name, value)
    assert main(verb) != 0
    out, err = capsys.readouterr()
    assert_harmless(out, err)
    assert "s3cret" not in out + err


ALLOWED: Final = {
    "rich.console": {"ConsoleOptions", "Group", "RenderableType"},
    "rich.live": {"Live"},
    "rich.progress_bar": {"ProgressBar"},
    "rich.table": {"Table"},
}
"""What of Rich reads no markup in the texts that it is given."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("analysis", "steps", "workflows"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_rich_markup_is_not_used() -> None:
    found = []
    for name, tree in sources():
        if name.startswith("analysis/console/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rich":
                found += [
                    f"{name}: {each.name}" for each in node.names if each.name not in ALLOWED.get(node.module or "", ())
                ]
            if isinstance(node, ast.Import):
                found += [f"{name}: {each.name}" for each in node.names if each.name.partition(".")[0] == "rich"]
            if isinstance(node, ast.Attribute) and node.attr in {"status", "rule"} and _is_console(node.value):
                found.append(f"{name}:{node.lineno}")
    assert found == []


def _is_console(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and "console" in (
        node.id if isinstance(node, ast.Name) else node.attr
    )
