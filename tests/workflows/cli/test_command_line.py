"""The command line: help, validation, exit codes. What it refuses, it refuses with a sentence, and at once."""

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.ordinary import ROOT
from workflows.cli import app
from workflows.flags.run import MeasurementFlags, RunFlags, SubmitFlags


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this very process."""

    def call(*argv: str) -> Done:
        code = app.main(list(argv))
        return Done(code, *capsys.readouterr())

    return call


def started(*argv: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user starts it."""
    return subprocess.run([sys.executable, "-m", "workflows", *argv], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "run",
        "plan",
        "preflight",
        "configure",
        "settle",
        "restore",
        "deploy",
        "undeploy",
        "report",
        "compare",
        "query",
        "shell",
    ],
)
def test_every_verb_has_a_help(command: Command, verb: str) -> None:
    done = command(*([verb] if verb else []), "--help")
    assert done.returncode == 0
    assert "Usage: python -m workflows" in done.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--dataplanes=lab-iptable"], "lab-iptables"),
        (["--topologies=pod-to-prod"], "pod-to-pod"),
        (["--profile=quik"], "quick"),
        (["--duration=0"], "at least 1 s"),
        (["--duration=0.05"], 'iperf3 reads it as "for ever"'),
        (["--duration=ten"], "ten"),
        (["--repetitions=0"], "repetitions"),
        (["--rounds=-1"], "-1"),
        (["--streams=0"], "streams"),
        (["--seed=x"], "seed"),
        (["--rate=100M", "--protocols=tcp"], "rate"),
        (["--dataplanes=lab-iptables,lab-iptables"], "twice"),
        (["--nope=1"], "--nope"),
        (["--duration=0", "--profile=quik"], "quick"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_invalid_arguments_are_problems(command: Command, verb: str, flags: list[str], says: str) -> None:
    done = command(verb, *flags)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run", "--environment=tiger"], "workflow"),
        (["configure", "--environment=lab", "--dataplane=ebpf"], "lab"),
        (["configure", "--environment=tiger", "--dataplane=ebfp"], "ebpf"),
        (["restore"], "environment"),
        (["settle", "--environment=tiger", "--dataplane=lab-ebpf"], "lab"),
    ],
)
def test_invalid_cluster_arguments_are_problems(command: Command, argv: list[str], says: str) -> None:
    done = command(*argv)
    assert done.returncode == 2
    assert says in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_argument_errors_come_all_at_once(command: Command) -> None:
    done = command("run", "--duration=0", "--repetitions=0", "--topologies=moon")
    assert all(fault in done.stderr for fault in ("duration", "repetitions", "moon"))


def test_unwritable_store_is_refused_before_the_run(command: Command) -> None:
    done = command("run", "--results=/proc/nowhere")
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_plan_command_names_every_visit_and_the_duration() -> None:
    done = started("plan", "--profile=smoke", "--seed=7")
    assert done.returncode == 0
    assert done.stdout == started("plan", "--profile=smoke", "--seed=7").stdout
    assert "seed 7" in done.stdout
    assert done.stdout.count("lab-ebpf-dsr") == 2


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), (["plan", "--duration=0"], 2)])
def test_exit_code_of_the_process(argv: list[str], code: int) -> None:
    done = started(*argv)
    assert done.returncode == code
    assert (done.stdout == "") == (code != 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flags", [RunFlags, SubmitFlags])
@pytest.mark.parametrize("space", [" ", "\t", "\n ", "\u00a0"])
def test_white_space_around_commas_of_a_list_is_left_out(flags: type[MeasurementFlags], space: str) -> None:
    spaced = flags(
        protocols=f"tcp,{space}udp", services=f"0{space},{space}100", rounds=f"{space}3{space}", margin=space
    )
    assert spaced.options() == flags(protocols="tcp,udp", services="0,100", rounds="3").options()
    assert spaced.form("cluster")["options"] == "protocols=tcp,udp rounds=3 services=0,100"


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        (["--budget=1h 30m"], ["--budget can't be '1h 30m'"]),
        (["--rounds=3 seed=1"], ["--rounds can't be '3 seed=1'"]),
        (
            ["--protocols=tcp udp", "--block-size=1 kb"],
            ["--protocols can't be 'tcp udp'", "--block-size can't be '1 kb'"],
        ),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan", "preflight"])
def test_value_that_would_begin_another_option_is_refused_by_its_flag(
    command: Command, verb: str, argv: list[str], flags: list[str]
) -> None:
    done = command(verb, *argv)
    assert done.returncode == 2
    assert all(f"{flag}: write one value, or a list with commas" in done.stderr for flag in flags)


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(28, "No space left on device"), RuntimeError("can't start new thread")], ids=repr
)
@pytest.mark.parametrize("verb", app.VERBS)
def test_exit_code_1_is_of_verbs_that_measure_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, error: Exception
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(app, "app", fail)
    assert app.main([verb]) == (1 if verb in {"run", "submit"} else 2)
    assert capsys.readouterr().err


def test_unknown_query_name_lists_the_known(command: Command, tmp_path: object) -> None:
    done = command("query", "--question=trand", f"--results={tmp_path}")
    assert done.returncode == 2
    assert "trend" in done.stderr


def test_invalid_sql_exit_code_and_reason(command: Command, tmp_path: object) -> None:
    done = command("query", "--sql=select nonsense from runs", f"--results={tmp_path}")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m workflows plan --profile=thorough | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_query_imports_nothing_that_draws() -> None:
    """To import the report takes as long as to answer a query."""
    program = "import sys, workflows.cli.results; print([m for m in ('altair', 'vl_convert') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True) == "[]\n"
