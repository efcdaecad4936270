import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.measurement.monitors import interference
from steps.measurement.monitors.interference import ForeignCpu, ForeignCpuReading


def test_foreign_cpu_is_a_ratio_of_all_cores() -> None:
    before = ForeignCpuReading(at_s=10, cores=2, foreign_s=100)
    after = ForeignCpuReading(at_s=12, cores=2, foreign_s=101.4)
    assert interference.foreign_ratio(before, after) == pytest.approx(1.4 / 4)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        (ForeignCpuReading(1, 1, 0), None),
        (None, ForeignCpuReading(1, 1, 0)),
        (ForeignCpuReading(1, 1, 0), ForeignCpuReading(1, 1, 0)),
    ],
)
def test_unknown_foreign_cpu_is_none(before: ForeignCpuReading | None, after: ForeignCpuReading | None) -> None:
    assert interference.foreign_ratio(before, after) is None


@given(st.floats(-10, 10), st.floats(0.01, 10))
def test_foreign_cpu_ratio_stays_within_bounds(foreign_s: float, wall_s: float) -> None:
    found = interference.foreign_ratio(ForeignCpuReading(0, 2, 0), ForeignCpuReading(wall_s, 2, foreign_s))
    assert found is not None
    assert 0 <= found <= 1


def test_foreign_cpu_is_unknown_outside_a_sandbox(tmp_path: Path) -> None:
    assert ForeignCpu(host_proc=tmp_path).read() is None


WATCH = """
import json, subprocess, sys, time
from steps.measurement.monitors.interference import ForeignCpu, foreign_ratio
window_s = float(sys.argv[1])
spin = "import sys, time, threading\\nend = time.time() + float(sys.argv[1])\\n" + (
    "def work():\\n while time.time() < end: pass\\n"
    "t = threading.Thread(target=work); t.start(); t.join()")
machine, found = ForeignCpu(), {}
def window(name, work):
    before = machine.read(); work(); found[name] = foreign_ratio(before, machine.read())
window("rest", lambda: time.sleep(window_s))
window("own dead thread of a dead child", lambda: subprocess.run([sys.executable, "-c", spin, sys.argv[1]]))
child = subprocess.Popen([sys.executable, "-c", spin, "60"])
window("own live child", lambda: time.sleep(window_s))
child.kill(); child.wait()
print(json.dumps(found))
"""

BOX = """
mount -t tmpfs tmpfs /run && mkdir /run/hostproc && mount --rbind /proc /run/hostproc && mount -t proc proc /proc &&
exec "$0" -c "$1" "$2"
"""


SHORT_LIVED = """
import os
while True:
    if os.fork() == 0:
        sum(range(300000))
        os._exit(0)
    os.wait()
"""
"""Like a compiler's build: no process of it lives as long as a look at the machine takes."""


@pytest.mark.lab
@pytest.mark.alone  # a process of another test that ends unwaited for takes its time out of the sum
@pytest.mark.parametrize("spinning", [None, "while True: pass", SHORT_LIVED])
def test_foreign_cpu_in_a_sandbox(spinning: str | None) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a sandbox needs root and unshare here")
    flags = ["-m", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    other = subprocess.Popen([sys.executable, "-c", spinning]) if spinning else None
    try:
        window_s = "0.6" if spinning else "1"  # a quiet machine has to be told from one that is nearly so
        command = ["unshare", *flags, "sh", "-c", BOX, sys.executable, WATCH, window_s]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    finally:
        if other is not None:
            other.kill()
            other.wait()
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if spinning:
        fair_share = 0.5 / (os.cpu_count() or 1)
        assert min(found.values()) > 0.8 * fair_share, found
    elif found["rest"] < 0.02:
        assert max(found.values()) < 0.05, found
    else:
        pytest.skip(f"others use {found['rest']:.0%} of this machine now, so own work can't be distinguished")
