"""Measured seconds over wall seconds of a whole run with 10-s trials: `python -m benchmarks.efficiency`."""

import sys

from analysis.console.terminal import printing
from analysis.sql.database import query
from benchmarks.runs import measured_run

AIM_RATIO = 0.90


def main() -> int:
    """Every topology of the default profile once in every dataplane, 10 s each, from the command's start to its end.

    Returns 1 if the aim is missed.
    """
    with measured_run("--profile=quick", "--duration=10", "--rounds=1") as run:
        sql = "select sum(duration_s) as traffic_s, count(*) as trials from trials where outcome = 'measured'"
        (found,) = query(run.con, sql).to_pylist()
    ratio = found["traffic_s"] / run.wall_s
    print(
        f"efficiency: {ratio:.3f} (aim {AIM_RATIO}): {found['traffic_s']:.1f} s measured in {found['trials']} trials "
        f"over {run.wall_s:.1f} s of wall time"
    )
    return int(ratio < AIM_RATIO)


if __name__ == "__main__":
    sys.exit(printing(main))
