"""What this machine lacks for a lab of every dataplane."""

import functools
import os
import shutil

from steps.cluster.lab.network.programs import PACKAGES, package_of


@functools.cache
def lacking() -> str | None:
    """The reason for skipping tests of the lab: the programs that root misses; None: there is none."""
    missing = [program for program in PACKAGES if shutil.which(program) is None]
    if os.geteuid() != 0 or not missing:
        return None
    packages = sorted(map(package_of, missing))
    return f"needs {', '.join(missing)}: apt-get install {' '.join(packages)}"
