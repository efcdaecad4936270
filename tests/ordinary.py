"""An ordinary user, for tests that root runs: as whom, with which Python, and in which environment."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
AS_NOBODY = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")


PATH = "/usr/local/bin:/usr/bin:/bin:/usr/games"
"""Debian's, for whoever is not root: without the folders in which nft, tc and bpftool are."""


def environment() -> dict[str, str]:
    packages = sysconfig.get_path("purelib")
    return os.environ | {"PATH": PATH, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}


def find_python() -> str | None:
    """A Python that an ordinary user may run and that finds the project and its packages; None if there is none."""
    if os.geteuid() != 0:
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}"):
        # By a shell, since setpriv itself still has root's way into directories when it starts a program.
        code = "import steps.domain, sys; print(sys.version_info[:2])"
        asked = [*AS_NOBODY, "sh", "-c", '"$@"', "sh", candidate, "-c", code]
        try:
            done = subprocess.run(asked, cwd="/", env=environment(), text=True, capture_output=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    return None
