"""The one printer: no text of others is read as markup, and none reaches the terminal as a control sequence."""

import ast
import io
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pyarrow as pa
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from rich.table import Table

from analysis.console.notices import print_notice, shorten_long_words
from analysis.console.sanitizing import strip_controls
from analysis.console.terminal import Terminal, Text, suppress_output_errors
from analysis.sql.table_output import print_table

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = (
    "[/red]",
    "[/]",
    "[bold]x[/bold]",
    "[link=http://x]y",
    "[@click=x]",
    ":warning:",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP1$r\x1b\\",
    "\x1bc",
    "\x9b31m",
    "\x9d0;t\x9c",
    "\x1b[",
    "\x1b",
    "\u202etxt",
    "\u2066x\u2069",
    "\x00\x07\x08\x0b\x0c\r\x7f",
    "\udcff",
    "\u2028",
)

TEXTS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=8), max_size=6).map("".join)


def is_harmless(text: str) -> bool:
    return not any(
        (unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t")
        or unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        for c in text
    )  # fmt: skip


@seed(1)
@settings(max_examples=300)
@given(TEXTS)
def test_control_characters_are_escaped(text: str) -> None:
    once = strip_controls(text)
    assert is_harmless(once)
    assert strip_controls(once) == once
    once.encode()


@seed(2)
@settings(max_examples=200)
@given(TEXTS)
def test_any_output_is_escaped_and_never_rich_markup(text: str) -> None:
    for colours in (False, True):
        out = io.StringIO()
        console = Terminal(
            file=out,
            width=4000,
            force_terminal=colours,
            color_system="standard" if colours else None,
            legacy_windows=False,
        )
        table = Table(text, box=None)
        table.add_row(text)
        for printed in (text, Text(text, style="red"), Text.assemble(("x", "bold"), text), table):
            console.print(printed, soft_wrap=True)
        console.lines(text)
        print_table(pa.table({"a": [text.replace("\udcff", "")]}), console)
        printed = out.getvalue()
        if not colours:
            assert is_harmless(printed)
        else:  # Rich's own sequences are colours and no more
            assert "\x1b]" not in printed
            assert all(part.split("m")[0].replace(";", "").isdigit() for part in printed.split("\x1b[")[1:])


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_no_variable_makes_a_terminal_of_a_pipe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CI system sets one, and a program reads the output: it gets all rows, and all digits."""
    monkeypatch.setenv(name, "1")
    out = io.StringIO()
    print_table(pa.table({"a": [1.23456789] * 2000}), Terminal(file=out))
    assert out.getvalue() == "a\n" + "1.23456789\n" * 2000


def test_table_without_enough_room_is_printed_whole() -> None:
    out = io.StringIO()
    table = Table("one", "two", box=None)
    table.add_row("x" * 30, "y" * 30)
    console = Terminal(file=out, width=20)
    console.print(table)
    assert "x" * 30 in out.getvalue()
    assert "y" * 30 in out.getvalue()
    assert console.width == 20


@pytest.mark.parametrize("text", [t for t in HOSTILE if t.startswith(("[", ":"))])
def test_rich_markup_in_text_is_printed_literally(text: str) -> None:
    out = io.StringIO()
    Terminal(file=out, width=200).print(f"iperf3: {text} in the path")
    assert out.getvalue() == f"iperf3: {text} in the path\n"


def test_escape_sequences_are_removed_and_text_kept() -> None:
    assert strip_controls("a\x1b[31mred\x1b[0m b\x1b]0;title\x07c") == "ared bc"
    assert strip_controls("line\r\nnext\tcell ä 日本 −") == "line\nnext\tcell ä 日本 −"


WORDS = ("rich", "from_markup", "from_ansi", "markup", "emoji", "print")
"""A file without any of these can't print by itself; parsing all files takes seconds."""


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("analysis", "steps", "workflows"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if path != ROOT / "analysis" / "console" / "terminal.py" and any(word in text for word in WORDS):
                yield path, ast.parse(text)


def test_all_output_goes_through_the_terminal_module() -> None:
    """No console of Rich's, no markup, and no `print` of text as it came, outside of analysis/console/terminal.py."""
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                found += [
                    where
                    for name in node.names
                    if name.name in {"Console", "Text", "print", "get_console", "from_markup"}
                ]
            if isinstance(node, ast.Attribute) and node.attr in {"from_markup", "from_ansi"}:
                found.append(where)
            if isinstance(node, ast.keyword) and node.arg in {"markup", "emoji"}:
                found.append(where)
            if is_print(node) and not all(is_cleaned(argument) for argument in node.args):
                found.append(where)
    assert found == []


def is_print(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def is_cleaned(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) or (
        isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id == "strip_controls"
    )


VERBS = (
    ["plan"],
    ["preflight", "--dataplanes=lab-iptables"],
    ["run", "--profile=smoke", "--dataplanes=lab-iptables"],
    ["report"],
    ["query", "--sql=select 1 as a"],
    ["shell"],
    ["configure", "--environment=prod", "--dataplane=ebpf", "--dry-run"],
    ["--help"],
)


@pytest.mark.parametrize(
    ("verb", "where"), [*((verb, "full") for verb in VERBS), (["plan"], "closed"), (["--help"], "closed")], ids=str
)
def test_full_or_closed_stdout_is_a_problem(tmp_path: Path, verb: list[str], where: str) -> None:
    to = ">/dev/full" if where == "full" else ">&-"
    results = [] if verb[0] == "configure" or "--help" in verb else [f"--results={tmp_path}"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {to}', "sh", sys.executable, "-m", "workflows", *verb, *results],
        cwd=ROOT,
        input="select 1 as a;\n",  # for the shell, which prints nothing without a statement
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    *before, sentence = done.stderr.strip().splitlines()
    of_empty_store = [f"RESULTS is {tmp_path}, where there is no run yet"] if verb[0] in {"query", "shell"} else []
    assert [line.partition(":")[0] for line in before] == of_empty_store
    expected = "The standard output can't be written: " if where == "full" else "The standard output is closed: "
    unrelated = verb[0] in {"configure", "report"}  # these have a reason of their own to say before anything is printed
    assert sentence.startswith(expected) or (unrelated and where == "full")


def test_full_stdout_and_stderr(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >/dev/full 2>/dev/full', "sh", sys.executable, "-m", "workflows", "plan"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 2


class Failing(io.StringIO):
    """A stream that takes a few lines and then fails, as a disk that is full or a reader that has gone."""

    def __init__(self, error: OSError, lines: int) -> None:
        super().__init__()
        self.error, self.left = error, lines

    def write(self, text: str) -> int:
        if self.left <= 0:
            raise self.error
        self.left -= 1
        return super().write(text)


@pytest.mark.parametrize("lines", [0, 1, 2])
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device")], ids=str)
def test_failing_stdout_is_given_up_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: OSError, lines: int
) -> None:
    stream = Failing(error, lines)
    monkeypatch.setattr(sys, "stdout", stream)
    given_up: list[int] = []
    monkeypatch.setattr("analysis.console.terminal.discard_buffered", given_up.append)
    output, console = suppress_output_errors(), Terminal()
    for number in range(4):
        console.print(f"line {number}")
    assert stream.getvalue().count("line") == lines
    assert given_up == [1]
    assert (output.failure is None) == isinstance(error, BrokenPipeError)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("argv", [["-m", "workflows.template.render"], ["-m", "workflows", "--help"]], ids=str)
@pytest.mark.parametrize("to", [">/dev/full", "| true"])
def test_broken_pipe_is_silent_and_full_disk_a_problem(argv: list[str], to: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"$@" {to}; exit ${{PIPESTATUS[0]}}', "bash", sys.executable, *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    full = "The standard output can't be written: No space left on device. "
    assert done.stderr.startswith(full) if "full" in to else done.stderr == ""
    assert done.returncode == (2 if "full" in to else 0)


def test_long_word_is_shortened_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    name = "b" + "a" * 4998 + "z"
    print_notice(f"can't read /tmp/{name}: the name is too long")
    printed = capsys.readouterr().err
    assert len(printed) < 600
    assert printed.startswith("can't read /tmp/baaa")
    assert printed.endswith("aaaz: the name is too long\n")
    assert shorten_long_words("words " * 1000) == "words " * 1000


def test_ascii_terminal_gets_question_marks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflows", "query", "--sql=select '−5 % ✓' as a", f"--results={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii", "HOME": str(tmp_path)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"a\n?5 % ?\n"), done.stderr
