"""What this machine lacks for a lab of every dataplane."""

import functools
import os
import shutil

from steps.cluster.lab.network.programs import PACKAGES


@functools.cache
def lacking() -> str | None:
    """Why no such lab can be had here, for whoever skips a test; None: root may have one."""
    missing = [program for program in PACKAGES if shutil.which(program) is None]
    if os.geteuid() != 0 or not missing:
        return None
    packages = sorted({PACKAGES[program] for program in missing})
    return f"needs {', '.join(missing)}: apt-get install {' '.join(packages)}"
