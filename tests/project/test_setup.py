"""Setting up on machines that are not this one: what is missing, who one is and what apt-get has are stand-ins."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from steps.cluster.lab.network.programs import PACKAGES
from steps.measurement.subprocesses import search_everywhere

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "chmod", "env", "ln", "mkdir", "mktemp", "rm", "sort", "tail", "uname")
OPTIONAL = {"bpftool", "tc"}
"""Of the lab's programs those that only a part needs."""

APT = """#!/bin/bash
echo "$@" >>"$CALLS"
[ "$1" = install ] || exit 0
for package; do
  case " $REFUSED " in *" $package "*) echo "E: Unable to locate package $package"; exit 100 ;; esac
done
for package; do
  for program in $(bash -c "echo \\$HAS_${package//[^a-z0-9]/_}"); do
    printf '#!/bin/bash\\nexit 0\\n' >"$BIN/$program"; chmod +x "$BIN/$program"
  done
  [ "$package" = python3-venv ] && : >"$BIN/has-venv"
done
exit 0
"""
PYTHON = """#!/bin/bash
case "$*" in
  --version) echo "Python $VERSION" ;;
  *version_info*) [ "$VERSION" != 3.9.2 ] ;;
  *ensurepip*) [ -e "$BIN/has-venv" ] ;;
  "-m venv "*)
    mkdir -p "$3/bin"
    printf '#!/bin/bash\\necho "$@" >>"$CALLS"\\n' >"$3/bin/python"
    chmod +x "$3/bin/python" ;;
esac
"""


@dataclass
class Machine:
    """A PATH with nothing on it but what is put there."""

    home: Path
    uid: int = 0
    version: str = "3.11.2"
    refused: tuple[str, ...] = ()
    packages: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        for program, package in (PACKAGES | {"clang": "clang", "llvm-strip": "llvm", "chromium": "chromium"}).items():
            self.packages.setdefault(package, []).append(program)
        self.put("apt-get", APT)
        self.put("python3", PYTHON)
        self.put("has-venv", "")

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def calls(self) -> list[str]:
        """What apt-get and the new environment's Python were called with."""
        log = self.home / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def put(self, program: str, text: str = "#!/bin/bash\nexit 0\n") -> None:
        (self.bin / program).write_text(text)
        (self.bin / program).chmod(0o755)

    def put_all(self, *but: str) -> None:
        for programs in self.packages.values():
            for program in programs:
                if program not in but:
                    self.put(program)

    def take(self, *programs: str) -> None:
        for program in programs:
            (self.bin / program).unlink()

    def set_up(self, purpose: str) -> tuple[int, str]:
        """Run setup.sh, but without the folders it would look into beside PATH; the exit code and what was said."""
        self.put("id", f"#!/bin/bash\necho {self.uid}\n")
        text = (ROOT / "setup.sh").read_text()
        script = self.home / "setup.sh"
        script.write_text(text.replace("$PATH:/usr/sbin:/sbin\n", "$PATH\n").replace("/usr/lib/", f"{self.home}/lib/"))
        assert script.read_text() != text
        has = {f"HAS_{re.sub('[^a-z0-9]', '_', name)}": " ".join(p) for name, p in self.packages.items()}
        own = {"PATH": str(self.bin), "BIN": str(self.bin), "CALLS": str(self.home / "calls"), "TMPDIR": str(self.home)}
        done = subprocess.run(
            [str(shutil.which("bash")), str(script), purpose, "python3", str(self.home / "venv"), "some.lock"],
            env={**own, **has, "VERSION": self.version, "REFUSED": " ".join(self.refused)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    @property
    def is_ready(self) -> bool:
        """Whether the packages were installed at last."""
        return any("--require-hashes" in call for call in self.calls)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def installed(machine: Machine) -> set[str]:
    calls = [call.split() for call in machine.calls if call.startswith("install")]
    return {word for call in calls for word in call[1:] if not word.startswith("--")}


def test_setup_packages_match_the_lab() -> None:
    text = (ROOT / "setup.sh").read_text()
    (needed,) = re.findall(r"declare -A needed=\((.*?)\)", text, re.DOTALL)
    assert dict(re.findall(r"\[(\S+)\]=(\S+)", needed)) == {p: n for p, n in PACKAGES.items() if p not in OPTIONAL}
    parts = dict(re.findall(r'part (\S+) ".*?" "?([a-z0-9]+)', text))
    assert {program: parts[program] for program in OPTIONAL} == {program: PACKAGES[program] for program in OPTIONAL}


def test_root_installs_only_missing_packages(machine: Machine) -> None:
    machine.put_all("nft", "iperf3")
    code, printed = machine.set_up("run")
    assert code == 0, printed
    assert installed(machine) == {"nftables", "iperf3"}
    assert machine.is_ready
    assert not list(machine.home.glob("dataplane-benchmark-apt.*")), "a log of what went well is not kept"


def test_apt_is_not_called_when_nothing_is_missing(machine: Machine) -> None:
    machine.put_all()
    code, printed = machine.set_up("run")
    assert code == 0, printed
    assert installed(machine) == set()


def test_root_on_a_bare_machine_installs_everything(machine: Machine) -> None:
    machine.take("has-venv")
    code, printed = machine.set_up("run")
    assert code == 0, printed
    assert installed(machine) == {*PACKAGES.values(), "python3-venv"}
    assert [c for c in machine.calls if c == "update"] == ["update"]


def test_unavailable_required_package_is_an_error_with_the_apt_log(machine: Machine) -> None:
    machine.put_all("iperf3")
    machine.refused = ("iperf3",)
    code, printed = machine.set_up("run")
    assert code == 2
    assert "E: Unable to locate package iperf3" in printed
    (log,) = re.findall(r"apt-get could not install: iperf3. Its output is in (\S+)\.$", printed, re.MULTILINE)
    assert "Unable to locate" in Path(log).read_text()
    assert not machine.is_ready


def test_setup_installs_each_package_once(machine: Machine) -> None:
    code, printed = machine.set_up("test")
    assert code == 0, printed
    words = [word for call in machine.calls if call.startswith("install") for word in call.split()[1:]]
    names = [word for word in words if not word.startswith("--")]
    assert sorted(names) == sorted(set(names))
    assert "iproute2" in names  # holds what every lab needs, and tc


@pytest.mark.parametrize("purpose", ["run", "test"])
def test_unavailable_bpftool_is_skipped(machine: Machine, purpose: str) -> None:
    machine.put_all("bpftool", "clang")
    machine.refused = ("bpftool", "linux-tools-common")
    code, printed = machine.set_up(purpose)
    assert "Skipped: bpftool can't be installed here, so the eBPF dataplanes are left out." in printed
    if purpose == "test":  # libbpf's header is this machine's, so clang may or may not be found to work
        assert "clang" in installed(machine)
    assert code == 0, printed
    assert machine.is_ready


def test_broken_bpftool_is_replaced_by_that_of_the_kernel(machine: Machine) -> None:
    machine.put_all()
    machine.put("bpftool", '#!/bin/bash\necho "WARNING: bpftool not found for this kernel" >&2; exit 2\n')
    machine.refused = ("bpftool",)
    machine.packages["linux-tools-common"] = ["bpftool"]
    code, printed = machine.set_up("run")
    assert code == 0, printed
    assert installed(machine) >= {"linux-tools-common", f"linux-tools-{os.uname().release}"}
    assert "Skipped" not in printed


@pytest.mark.parametrize("works", [True, False])
def test_bpftool_of_another_kernel_is_linked_where_it_works(machine: Machine, works: bool) -> None:  # noqa: FBT001
    """As in a container of Ubuntu on a kernel that is not Ubuntu's: the script in PATH refuses to start it."""
    machine.put_all()
    machine.put("bpftool", '#!/bin/bash\necho "WARNING: bpftool not found for this kernel" >&2; exit 2\n')
    machine.refused = ("bpftool", f"linux-tools-{os.uname().release}")
    machine.packages["linux-tools-generic"] = []
    for version in ("6.8.0-31-generic", "6.8.0-151-generic"):
        folder = machine.home / "lib" / "linux-tools" / version
        folder.mkdir(parents=True)
        (folder / "bpftool").write_text(f"#!/bin/bash\nexit {int(not (works and '151' in version))}\n")
        (folder / "bpftool").chmod(0o755)
    code, printed = machine.set_up("run")
    assert code == 0, printed
    linked = machine.home / "venv" / "programs" / "bpftool"
    assert linked.exists() is works
    assert ("Skipped: bpftool" in printed) is not works
    if works:
        assert linked.readlink().parent.name == "6.8.0-151-generic", "the newest"


def test_linked_programs_are_found_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "programs=$venv/programs" in (ROOT / "setup.sh").read_text()
    monkeypatch.setenv("PATH", "/usr/bin:/usr/sbin")
    for _twice in range(2):
        search_everywhere()
        assert os.environ["PATH"] == f"{sys.prefix}/programs:/usr/bin:/usr/sbin:/sbin"


def test_unavailable_chromium_is_skipped(machine: Machine) -> None:
    machine.put_all("chromium")
    machine.put("chromium-browser", "#!/bin/bash\necho 'requires the chromium snap' >&2; exit 1\n")
    machine.refused = ("chromium",)
    code, printed = machine.set_up("test")
    assert code == 0, printed
    assert "Skipped: chromium can't be installed here, so tests of the report in a browser are skipped." in printed
    assert machine.is_ready


def test_ordinary_user_gets_the_apt_command(machine: Machine) -> None:
    machine.uid = 1000
    machine.put_all("nft", "ethtool", "bpftool", "tc")
    code, printed = machine.set_up("run")
    assert code == 2
    assert printed.splitlines()[-1].endswith(
        "try again: sudo apt-get install --yes --no-install-recommends ethtool nftables"
    )
    assert machine.calls == []


def test_ordinary_user_needs_no_bpftool(machine: Machine) -> None:
    machine.uid = 1000
    machine.put_all("bpftool", "tc")
    code, printed = machine.set_up("run")
    assert code == 0, printed
    assert "bpftool" not in printed
    assert machine.is_ready


def test_ordinary_user_sets_up_tests_without_missing_packages(machine: Machine) -> None:
    machine.uid = 1000
    machine.put_all("nft", "chromium")
    code, printed = machine.set_up("test")
    assert code == 0, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("Some tests will be skipped.")]
    assert {"nftables", "chromium"} <= set(line.split())
    assert machine.is_ready


@pytest.mark.parametrize("purpose", ["run", "test"])
def test_missing_venv_module_is_an_error(machine: Machine, purpose: str) -> None:
    machine.uid = 1000
    machine.put_all()
    machine.take("has-venv")
    code, printed = machine.set_up(purpose)
    assert code == 2
    assert printed.splitlines()[-1].endswith("sudo apt-get install --yes --no-install-recommends python3-venv")


@pytest.mark.parametrize("purpose", ["run", "test"])
def test_missing_apt_names_the_packages(machine: Machine, purpose: str) -> None:
    machine.put_all("nft")
    machine.take("apt-get")
    code, printed = machine.set_up(purpose)
    assert code == 2
    assert "nftables (Debian's names). Install them with this system's package manager." in printed


def test_old_python_is_refused_before_installing(machine: Machine) -> None:
    machine.put_all("nft")
    machine.version = "3.9.2"
    code, printed = machine.set_up("run")
    assert code == 2
    assert (
        "Python 3.11 or newer is needed, and python3 is Python 3.9.2. Name another: make PYTHON=python3.12" in printed
    )
    assert machine.calls == []
