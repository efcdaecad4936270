"""Variables behind `make`: misspelt ones are refused, and what is right reaches the command line as it was typed."""

import ast
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.project.test_docs import DOCUMENTS, ROOT, TARGETS
from workflows.cli.app import VERBS, main
from workflows.flags.deploy import DeployFlags
from workflows.flags.make_variables import faults, takes

MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture
def make(tmp_path: Path) -> "Make":
    return Make(tmp_path)


class Make:
    """make with a Python that prints what it was called with, and nothing to set up."""

    def __init__(self, folder: Path) -> None:
        python = folder / "python"
        python.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
        python.chmod(0o755)
        self._own = ["-o", ".venv/.ready-run", "-o", ".venv/.ready-dev", f"BIN={folder}"]

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # `make test` hands its variables down, as if they were typed here, and exports the steps'
        handed = ("MAKE", "MFLAGS", "BENCHMARK_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(handed)}
        return subprocess.run(
            ["make", *self._own, *words], cwd=ROOT, env=own | environment, capture_output=True, text=True, check=False
        )

    def flags(self, *words: str, **environment: str) -> list[str]:
        done = self(*words, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\0")[3:-1]


class Bare:
    """A copy of the Makefile on a machine that has no Python before `setup.sh`, and one that prints its words after."""

    SETUP = """#!/bin/bash
mkdir -p "$3/bin"
cat >"$3/bin/python" <<'END'
#!/bin/bash
if [ "$1" = -I ]; then exec INTERPRETER "$@"; else printf '%s\\n' "$@"; fi
END
chmod +x "$3/bin/python"
"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in ("cli", "flags"):
            (folder / "workflows" / part).mkdir(parents=True)
        for name in ("Makefile", "workflows/flags/make_variables.py", "workflows/cli/variables.mk"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "setup.sh").write_text(self.SETUP.replace("INTERPRETER", shlex.quote(sys.executable)))
        (folder / "setup.sh").chmod(0o755)
        for lock in ("requirements.lock", "requirements-dev.lock"):
            (folder / lock).touch()

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHON": "python-that-is-not-there"}
        return subprocess.run(
            ["make", *words], cwd=self._folder, env=environment, capture_output=True, text=True, check=False
        )


@functools.cache
def known() -> Mapping[str, tuple[str, ...]]:
    """The variables that each target takes."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--eval", "print-takes: ; $(info $(TAKES))@true", "print-takes"],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return takes(done.stdout)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan", "PROFIL=smoke"], "make plan takes no PROFIL: did you mean PROFILE?"),
        (["plan", "DATAPLANE=lab-ebpf"], "make plan takes no DATAPLANE: did you mean DATAPLANES?"),
        (["run", "TOPOLOGY=pod-to-pod"], "make run takes no TOPOLOGY: did you mean TOPOLOGIES?"),
        (["run", "profile=smoke"], "make run takes no profile: did you mean PROFILE?"),
        (["plan", "RUN=x"], "make plan takes no RUN, which is for gallery, report: leave it out"),
        (["configure", "DATAPLANES=ebpf"], "make configure takes no DATAPLANES: did you mean DATAPLANE?"),
        (["run", "ENVIRONMENT=prod"], "make run takes no ENVIRONMENT, which is for "),
        (["preflight", "NAMESPACE=x"], "make preflight takes no NAMESPACE, which is for "),
        (["preflight", "IMAGE=x", "ENVIRONMENT=lab"], "make preflight takes no IMAGE, which is for "),
        (["configure", "IMAGE=x"], "make configure takes no IMAGE, which is for "),
        (["plan", "NAMESPACE=x", "ENVIRONMENT=prod"], "make plan takes no NAMESPACE, which is for "),
        (["check", "PYTST=-x"], "make check takes no PYTST, which is near PYTEST: leave it out"),
        (["clean", "PROFILE=x"], "make clean takes no PROFILE, which is for "),
        (["PROFILE=x"], "make help takes no PROFILE, which is for "),
        (["plan", "VISITS=2"], "make plan takes no VISITS: did you mean ROUNDS?"),
        (["plan", "OPTIONS=seed=1"], "make plan takes no OPTIONS, which is a field of the form: give each option"),
        (["plan", "VERBS=run"], "make plan takes no VERBS, which is the Makefile's own: leave it out"),
        (["plan", "FLAGS_plan=SEED"], "make plan takes no FLAGS_plan, which is the Makefile's own: leave it out"),
        (["plan", "GIVEN=", "PROFIL=smoke"], "make plan takes no PROFIL: did you mean PROFILE?"),
        (["restore", "ENVIRONMENT=prod", "DRY=1"], "make restore takes no DRY: did you mean DRY_RUN?"),
        (["restore", "ENV=prod"], "make restore takes no ENV: did you mean ENVIRONMENT?"),
        (["report", "RUN_ID=x"], "make report takes no RUN_ID: did you mean RUN?"),
        (["plan", "DURATON=1", "STREAM=2"], "DURATON: did you mean DURATION?; make plan takes no STREAM: did you"),
    ],
)
def test_unknown_make_variable_is_refused(make: Make, words: list[str], says: str) -> None:
    done = make(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [["KUBECONFIG=/x"], ["V=1"], ["BENCHMARK_NAMESPACE=x"], ["HTTPS_PROXY=x"], ["AWS_REGION=x"], ["PYTHON=python3"]],
)
def test_variables_of_other_programs_are_accepted(make: Make, words: list[str]) -> None:
    assert make.flags("deploy", *words) == []


def test_environment_variables_are_not_refused(make: Make) -> None:
    assert make.flags("plan", PROFIL="x", RUN="x", SEED="7") == ["--seed=7"]


@pytest.mark.parametrize("words", [["run"], ["run", "SEED=7"], ["plan", "V=1"], ["help"]])
def test_make_without_python_sets_up_first(tmp_path: Path, words: list[str]) -> None:
    done = Bare(tmp_path)(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("--seed=7" in done.stdout) == ("SEED=7" in words)


@pytest.mark.parametrize("target", ["run", "query", "check"])
def test_make_without_python_refuses_a_misspelt_variable_after_set_up(tmp_path: Path, target: str) -> None:
    done = Bare(tmp_path)(target, "RESULT=x", "PYTST=-x")
    assert done.returncode == 2
    assert f"make {target} takes no PYTST, which is near PYTEST: leave it out" in done.stderr
    assert "-m\n" not in done.stdout, "nothing was started"


def test_make_variable_with_a_synonym_is_answered_by_it() -> None:
    assert faults(["run"], known(), ["VISITS"]) == ["make run takes no VISITS: did you mean ROUNDS?"]


def test_every_command_in_a_text_of_the_sources_exists() -> None:
    """What a message or a comment in a docstring tells to type; the parts of an f-string are looked at one by one."""
    told = {
        (found["maker"], found["name"])
        for package in ("analysis", "steps", "workflows", "benchmarks")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for found in re.finditer(r"`(?P<maker>make|python -m workflows) (?P<name>[a-z][a-z-]*)", node.value)
    }
    assert {name for maker, name in told if maker == "make"} <= TARGETS
    assert {name for maker, name in told if maker != "make"} <= {*VERBS}
    assert {("make", "run"), ("make", "query")} < told


def test_several_targets_share_their_variables() -> None:
    names = {"a": ("SEED",), "b": ("RUN",)}
    assert faults(["a", "b"], names, ["RUN", "SEED"]) == []
    assert faults(["a"], names, ["RUN"]) == ["make a takes no RUN, which is for b: leave it out"]


def test_every_target_with_variables_is_a_target() -> None:
    assert set(known()) <= TARGETS
    assert known()["undeploy"] == ("CONTEXT", "NAMESPACE")


@pytest.mark.parametrize(
    "text",
    [
        "select '$HOME', $$x, $(shell echo no), ${HOME}, $1",
        """it's "quoted" `here` \\ \\n #no comment; | & > < * ?""",
        "two\nlines\n",
        " blanks  kept ",
        "100 % of ü ٣ €",
        "a=b:c;d",
        "$",
        "--flag=-x",
    ],
)
@pytest.mark.parametrize("name", ["SQL", "LABEL"])
def test_make_variable_values_are_passed_literally(make: Make, name: str, text: str) -> None:
    target = "query" if name == "SQL" else "plan"
    assert make.flags(target, f"{name}={text}") == [f"--{name.lower()}={text.lstrip()}"]
    assert make.flags(target, **{name: text}) == [f"--{name.lower()}={text}"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("gallery", ["ENTRY=calico", "RUN=latest"]),
        ("chaos", ["CONTEXT=kind", "POINTS=3", "FAULTS=faults.toml", "ONLY=stop@*", "OUTCOMES=outcomes.jsonl"]),
        ("chaos", ["ROUNDS=4", "TOPOLOGIES=pod-to-pod", "MINUTES=60", "AGAIN=true", "TOGETHER=4", "RETRIED=true"]),
        ("chaos-table", ["OUTCOMES=outcomes.jsonl", "DOCUMENT=docs/chaos.md"]),
        ("bench-guard", ["CONTEXT=kind", "NAMESPACE=argo", "MINUTES=5", "PAIRS=6"]),
        ("report", ["RUN=latest"]),
    ],
)
def test_every_variable_of_a_target_becomes_a_flag(make: Make, target: str, words: list[str]) -> None:
    expected = {f"--{name.lower()}={value}" for name, _, value in (word.partition("=") for word in words)}
    assert set(make(target, *words).stdout.split("\0")) >= expected


def test_every_documented_make_command_is_accepted() -> None:
    taken = known()
    texts = [document.read_text() for document in DOCUMENTS] + [MAKEFILE]
    texts += [path.read_text() for path in (ROOT / "workflows").rglob("*.py") if path.name != "make_variables.py"]
    lines = [line for text in texts for line in re.findall(r"make ([a-z-]+(?: [A-Z_]+=\S+)+)", text)]
    assert len(lines) > 20
    refused = [
        fault
        for line in lines
        for target, *variables in [line.split()]
        for fault in faults([target], taken, [word.partition("=")[0] for word in variables])
    ]
    assert refused == []


def test_variable_name_with_special_characters_is_refused(make: Make, tmp_path: Path) -> None:
    done = make("plan", f"a'b;touch {shlex.quote(str(tmp_path / 'made'))}=1")
    assert done.returncode in {0, 2}
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("where", ["argument", "environment"])
@pytest.mark.parametrize(
    "address",
    [
        "s3://b/p?access_key=K&secret_key=s3cret",
        "s3://b?region=x&secret_key=s3cret",
        "S3://KEY:s3cret@b/p",
        "s3://s3cret@b",
    ],
)
def test_credentials_in_results_are_refused_before_a_program_gets_them(make: Make, address: str, where: str) -> None:
    done = make("query", f"RESULTS={address}") if where == "argument" else make("query", RESULTS=address)
    assert done.returncode == 2
    assert "RESULTS has credentials in it: give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("address", ["/a@b/c", "s3://b/x@y", "file:///a@b", "s3://b/access_key=x", "s3://b?region=eu"])
def test_results_without_credentials_are_passed(make: Make, address: str) -> None:
    assert make.flags("query", f"RESULTS={address}") == [f"--results={address}"]


@pytest.mark.parametrize("where", ["argument", "environment"])
@pytest.mark.parametrize(
    ("target", "name", "address"),
    [
        ("site", "SITE", "s3://KEY:s3cret@b/p"),
        ("site", "SITE", "s3://b?secret_key=s3cret"),
        ("deploy", "SITE", "s3://KEY:s3c/ret@b/p"),
        ("query", "RESULTS", "s3://KEY:s3c/s3cret@b/p"),
        ("deploy", "PUSHGATEWAY", "http://u:s3cret@gateway:9091"),
        ("deploy", "PUSHGATEWAY", "HTTPS://s3cret@gateway"),
    ],
)
def test_credentials_in_any_address_are_refused_before_a_program_gets_them(
    make: Make, target: str, name: str, address: str, where: str
) -> None:
    done = make(target, f"{name}={address}") if where == "argument" else make(target, **{name: address})
    assert done.returncode == 2
    assert f"{name} has credentials in it: give them " in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_addresses_of_other_targets_and_without_credentials_are_no_fault(make: Make) -> None:
    assert make.flags("plan", SITE="https://me:s3cret@elsewhere", PUSHGATEWAY="http://u:p@h") == []
    words = ["SITE=s3://b/p@q", "PUSHGATEWAY=http://gateway:9091"]
    assert make.flags("deploy", *words) == ["--pushgateway=http://gateway:9091", "--site=s3://b/p@q"]


@pytest.mark.parametrize("verb", ["plan", "preflight"])
def test_environment_is_taken_where_it_is_typed(make: Make, verb: str) -> None:
    assert make.flags(verb, ENVIRONMENT="production") == []
    assert make.flags(verb, "ENVIRONMENT=prod", ENVIRONMENT="production") == ["--environment=prod"]
    assert make.flags("run", ENVIRONMENT="production") == []


@pytest.fixture
def probe(tmp_path: Path) -> str:
    """A value that makes a file where a shell or make executes it."""
    marked = shlex.quote(str(tmp_path / "executed"))
    return f"x$(touch {marked})`touch {marked}`$(shell touch {marked})\";touch {marked};'$HOME"


class Seen:
    """make with programs that print their words, and the variables that steps read."""

    SCRIPT = """#!/bin/bash
printf '%s\\0' "$@" "${BENCHMARK_NAMESPACE:-}" "${BENCHMARK_IMAGE:-}" "${NOTIFY_URL:-}" "${FUZZ_INPUTS:-}"
"""

    def __init__(self, folder: Path, make: Make) -> None:
        self._make, self._path = make, f"{folder}:{os.environ['PATH']}"
        for name in ("docker", "python"):
            (folder / name).write_text(self.SCRIPT)
            (folder / name).chmod(0o755)

    def __call__(self, target: str, *words: str, **environment: str) -> list[str]:
        done = self._make("-o", "check", target, *words, **environment, PATH=self._path)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\0")


# These are words of a command line, which the shell divides.
DIVIDED = {"PYTEST", "FLAGS"}
TAKEN = [
    (target, name)
    for target, names in [*known().items(), ("preflight", ("NAMESPACE", "IMAGE"))]
    for name in names
    if name not in DIVIDED
]


@pytest.mark.parametrize("where", ["argument", "environment"])
@pytest.mark.parametrize("target", sorted({target for target, _ in TAKEN}))
def test_every_variable_that_a_target_takes_reaches_its_program_and_is_never_executed(
    tmp_path: Path, make: Make, probe: str, target: str, where: str
) -> None:
    seen, names = Seen(tmp_path, make), [name for other, name in TAKEN if other == target]
    given = {name: f"{name}={probe}" for name in names}
    if where == "argument":
        words = seen(target, *(f"{name}={value}" for name, value in given.items()))
    else:
        typed = ["ENVIRONMENT=prod"] if target in {"plan", "preflight"} and given.pop("ENVIRONMENT") else []
        words = seen(target, *typed, **given)
    assert [name for name, value in given.items() if not any(value in word for word in words)] == []
    assert not (tmp_path / "executed").exists()


def test_image_is_built_with_what_is_typed(tmp_path: Path, make: Make) -> None:
    seen = Seen(tmp_path, make)
    assert seen("image")[:4] == ["build", "--tag", "dataplane-benchmark:0.1.0", "."]
    words = seen("image", "BASE=python:3 x", "IMAGE=reg/x:1")
    assert words[:6] == ["build", "--build-arg", "BASE=python:3 x", "--tag", "reg/x:1", "."]


def test_words_for_pytest_are_divided_by_the_shell_alone(tmp_path: Path, make: Make) -> None:
    seen = Seen(tmp_path, make)
    typed = "-m 'not $slow' -x"
    for words in (seen("test", f"PYTEST={typed}"), seen("test", PYTEST=typed)):
        assert words[4:7] == ["-m", "not $slow", "-x"]


def test_notification_url_is_passed_by_the_environment_alone(make: Make, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s|" "$@" "$NOTIFY_URL"\n')
    done = make("deploy", "CONTEXT=prod", "NOTIFY_URL=https://hooks.example/s3cret")
    assert done.stdout == "-m|workflows|deploy|--context=prod|https://hooks.example/s3cret|"


def test_deploy_reads_the_notification_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DeployFlags] = []

    def deploy(flags: DeployFlags) -> int:
        seen.append(flags)
        return 0

    monkeypatch.setattr("workflows.deployment.deploy.deploy", deploy)
    monkeypatch.setenv("NOTIFY_URL", "https://hooks.example/s3cret")
    assert main(["deploy", "--context=prod"]) == 0
    assert [flags.notify_url for flags in seen] == ["https://hooks.example/s3cret"]
