"""The image: what its Dockerfile says agrees with the code, and the steps do with what it lets them write."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from steps.cluster.kube.workloads.manifests import USER
from steps.tasks import run
from steps.tasks.shared.pod import IMAGE
from tests.ordinary import ROOT
from tests.steps.builders import OF_RUN, RUN_ID, settings, write_run

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")
]
STAGES = " ".join(INSTRUCTIONS).split("FROM ${BASE}")[1:]


def of(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in INSTRUCTIONS if line.startswith(f"{word} ")]


def test_image_tag_is_the_project_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"dataplane-benchmark:{version}" == IMAGE
    assert set(re.findall(r"dataplane-benchmark:[\d.]+\d", (ROOT / "Makefile").read_text())) == {IMAGE}


def test_image_base_is_an_exact_python_version() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)", DOCKERFILE, re.MULTILINE)
    found = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-[a-z]+", base)
    assert found
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, found[1].split("."))) >= tuple(map(int, needed.removeprefix(">=").split(".")))


def test_image_base_may_be_pinned_by_digest(tmp_path: Path) -> None:
    assert "ARG BASE" in STAGES[-1]
    for name in ("make", "bash", "sh"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    (tmp_path / "podman").write_text('#!/bin/sh\necho "podman $*"\n')
    (tmp_path / "podman").chmod(0o755)
    base = f"python:3.13.7-slim-trixie@sha256:{'0' * 64}"
    make = [str(tmp_path / "make"), "image", "IMAGE=b:1", f"BASE={base}"]
    done = subprocess.run(make, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.stdout == f"podman build --build-arg BASE={base} --tag b:1 .\n"


def test_image_imports_nothing_from_the_home_directory() -> None:
    assert any("PYTHONNOUSERSITE=1" in line and "HOME=/tmp" in line for line in of("ENV"))


def test_image_has_a_bill_of_materials() -> None:
    assert any("workflows.deployment.sbom /requirements.lock /packages >/sbom.cdx.json" in line for line in of("RUN"))


def test_image_installs_locked_packages_with_hashes() -> None:
    (install,) = (line for line in of("RUN") if "pip install" in line)
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())
    assert "--requirement /requirements.lock" in install
    lock = (ROOT / "requirements.lock").read_text()
    assert lock.count("--hash=sha256:") > lock.count("==")


def test_image_user_is_that_of_the_pods() -> None:
    assert of("USER") == [f"{USER}:{USER}"]
    assert STAGES[-1].rstrip().endswith('ENTRYPOINT ["python"]')


def test_image_has_no_compiler() -> None:
    assert not re.search(r"gcc|g\+\+|clang|build-essential|-dev\b", STAGES[-1])
    assert "apt-get" not in STAGES[0]
    assert {"iperf3", "sockperf", "iproute2"} <= set(STAGES[-1].split())


def test_image_has_compiled_bytecode() -> None:
    assert all("compileall" in stage for stage in STAGES)


def test_dockerignore_admits_only_copied_files() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    assert {line.split()[0] for line in of("COPY") if not line.startswith("--from")} == let_through
    assert all((ROOT / name).exists() for name in let_through)
    assert any(fnmatch.fnmatch("steps/__pycache__", line) for line in lines)


def test_make_image_picks_an_installed_builder(tmp_path: Path) -> None:
    for name in ("make", "bash", "sh"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    make = [str(tmp_path / "make"), "image", "IMAGE=registry:5000/b:1"]
    own = {"PATH": str(tmp_path)}
    done = subprocess.run(make, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("None of docker, podman and buildah is on PATH")
    (tmp_path / "podman").write_text('#!/bin/sh\necho "podman $*"\n')
    (tmp_path / "podman").chmod(0o755)
    done = subprocess.run(make, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "podman build --tag registry:5000/b:1 .\n")


READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" /mnt
mount --bind "$2" /srv
mount -t tmpfs tmpfs /tmp
mkdir /tmp/work && mount --bind /mnt /tmp/work
mkdir -p "$2" && mount --bind /srv "$2" && mount -o remount,bind,ro "$2"  # a checkout may lie below /tmp
for place in $(findmnt -rno TARGET | grep -vE '^/(proc|sys|dev|tmp)(/|$)'); do
  mount -o remount,bind,ro "$place" 2>/dev/null || true
done
if touch /var/written 2>/dev/null; then echo "the root is not read-only" >&2; exit 9; fi
cd "$2"
shift 2
exec "$@"
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make the root read-only")
def test_steps_write_only_to_tmp_on_a_read_only_root(tmp_path: Path) -> None:
    """The ones that load most: rows into the store, and the report with its charts."""
    raw = tmp_path / "inputs" / "artifacts" / "documents"
    raw.mkdir(parents=True)
    write_run(raw, settings(options="rounds=2", dataplanes="lab-iptables,lab-ebpf"), RUN_ID)
    (tmp_path / "outputs" / "artifacts").mkdir(parents=True)
    (tmp_path / "none.json").write_text("[]")
    for step in ("collect", "report"):
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", READ_ONLY, "sh", str(tmp_path), str(ROOT),
             sys.executable, *run.COMMAND, f"steps.tasks.{step}:{step}", "/tmp/work/none.json"],
            capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1",
                 "BENCHMARK_ENVIRONMENT": "lab",
                 "BENCHMARK_RESULTS": "/tmp/work/store", "BENCHMARK_TERMINATION_LOG": "/tmp/last-words",
                 run.INPUTS_FOLDER: "/tmp/work/inputs", run.OUTPUTS_FOLDER: "/tmp/work/outputs", **OF_RUN},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "outputs" / "artifacts" / "report").read_text()
    assert (tmp_path / "store" / "report.html").exists()
