"""What the guard costs a cluster a day, in CPU seconds of its nodes and calls of its API server: `make bench-guard`.

Most of it is Kubernetes' own: for each look it makes a Job, a pod and a container, which no account of the guard's
process has. So all that the nodes and the API server do is counted, in turns with the guard's CronJob at work and
suspended, and the cost is the difference. Nobody looks after the cluster while it is suspended: there must be no run.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from cyclopts import Parameter

from analysis.console.notices import print_notice
from analysis.console.terminal import printing
from analysis.errors import BadInput, Problem, Unsupported
from analysis.stats.estimates.intervals import Interval, mean_interval
from benchmarks import program
from steps.cluster.kube.api import quantity
from steps.cluster.kube.api.permissions import BENCHMARK, NODES
from steps.cluster.kube.ownership import lock
from workflows.deployment.namespaces import OWN, find_namespace
from workflows.deployment.user_client import CRON_JOBS, UserClient
from workflows.template.guard import CRON_JOB

DAY_S: Final = 86_400.0

_MINUTE_S: Final = 60.0
_SETTLES_S: Final = 30.0
"""After the CronJob was suspended or resumed: a guard that has begun ends, and the kubelets' figures are 15 s old."""

_ROUNDED_S: Final = 1.0
"""Two readings of one counter may differ by so much in CPU time though they bear the same time."""

_FEWEST: Final = 2
_REQUESTS: Final = re.compile(rb"^apiserver_request_total(?:\{[^\n]*\})? ([0-9.e+]+)$", re.MULTILINE)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class GuardCostFlags:
    """The flags of `make bench-guard`.

    Attributes:
        minutes: of each turn.
        pairs: of turns, with the guard and without.
        context: of the kubeconfig; the current one if empty.
        namespace: where the benchmark is deployed; found if empty.
    """

    minutes: float = 5.0
    pairs: int = 6
    context: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was counted until now.

    Attributes:
        cpu: CPU seconds of each node since its start, and when that was read, by its name; each counter once.
        calls: that the API server has answered since its start.
        at: by the API server's clock.
    """

    cpu: Mapping[str, tuple[float, datetime]]
    calls: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Counter:
    """The CPU seconds that a node's kubelet tells of it.

    Attributes:
        kernel: the boot of the kernel that it runs on.
        used_s: since the start of whatever the kubelet takes for the node.
    """

    node: str
    kernel: str
    cores: float
    used_s: float
    at: datetime

    def is_also(self, other: "Counter") -> bool:
        """Whether both are one counter, read at two times: no more CPU time than the cores have lies between."""
        most_s = self.cores * abs((self.at - other.at).total_seconds()) + _ROUNDED_S
        return self.kernel == other.kernel and abs(self.used_s - other.used_s) <= most_s


def machines(counters: Iterable[Counter]) -> dict[str, tuple[float, datetime]]:
    """Each counter once, by the first node that tells it.

    Nodes that are containers of one machine each tell their own control group's; all tell the machine's where they
    share its root.
    """
    found: list[Counter] = []
    for one in counters:
        if not any(one.is_also(other) for other in found):
            found.append(one)
    return {one.node: (one.used_s, one.at) for one in found}


@dataclass(frozen=True, slots=True)
class Rates:
    """What is spent in a second: CPU seconds, and calls."""

    cpu: float
    calls: float


class Meter(UserClient):
    """A cluster's own counters."""

    def read(self) -> Reading:
        """All counters now.

        Raises:
            Problem: the API server shows none, or this user may not read them.
        """
        found = _REQUESTS.findall(self._text("/metrics", "the API server's metrics"))
        if not found:
            raise Problem(f"{self.where}: the API server's metrics have no apiserver_request_total.")
        return Reading(machines(self._counters()), sum(map(float, found)), self.now())

    def _counters(self) -> Iterator[Counter]:
        for node in self.list(NODES):
            name, status = node["metadata"]["name"], node.get("status") or {}
            path = f"/api/v1/nodes/{quote(name, safe='')}/proxy/stats/summary"
            try:
                cpu = json.loads(self._text(path, f"the usage of node {name}"))["node"]["cpu"]
                used_s, at = float(cpu["usageCoreNanoSeconds"]) / 1e9, datetime.fromisoformat(cpu["time"])
            except (ValueError, KeyError, TypeError) as error:
                raise Problem(f"{self.where}: the kubelet of node {name} tells no CPU time ({error}).") from None
            kernel = str((status.get("nodeInfo") or {}).get("bootID") or name)
            cores = quantity.amount(str((status.get("capacity") or {}).get("cpu", "")))
            yield Counter(name, kernel, cores, used_s, at)

    def _text(self, path: str, what: str) -> bytes:
        return self._transport.call("GET", path, what) or b""


def rates(before: Reading, after: Reading) -> Rates:
    """What was spent in a second between two readings.

    Raises:
        Problem: a machine or the API server has started anew meanwhile.
    """
    cpu = 0.0
    for name, (used, at) in before.cpu.items():
        now, then = after.cpu.get(name, (-1.0, at))
        if now < used or then <= at:
            raise Problem(f"node {name} has started anew, or tells nothing new: try again.")
        cpu += (now - used) / (then - at).total_seconds()
    took_s = (after.at - before.at).total_seconds()
    if after.calls < before.calls or took_s <= 0:
        raise Problem("the API server has started anew, or another one answered: try again.")
    return Rates(cpu, (after.calls - before.calls) / took_s)


def measure(
    meter: Meter, *, turn_s: float, pairs: int, sleep: Callable[[float], None], say: Callable[[str], None]
) -> list[tuple[Rates, Rates]]:
    """The rates with the guard and without, a pair for each two turns; which of a pair comes first alternates.

    Raises:
        Unsupported: there is no guard, or the cluster is held.
        Problem: the counters can't be read.
    """
    job = meter.get(CRON_JOBS, CRON_JOB, BENCHMARK)
    if job is None:
        again = f"deploy again without GUARD=off: `{meter.make('deploy')} ...`"
        raise Unsupported(f"{meter.where} has no CronJob {meter.namespace}/{CRON_JOB}: {again}.")
    suspended = bool(job["spec"].get("suspend"))
    found: list[tuple[Rates, Rates]] = []
    try:
        for pair in range(pairs):
            order = (True, False) if pair % 2 == 0 else (False, True)
            spent = {with_guard: _turn(meter, turn_s, sleep, with_guard=with_guard) for with_guard in order}
            found.append((spent[True], spent[False]))
            say(f"pair {pair + 1} of {pairs}: {_day(spent[True])} with the guard, {_day(spent[False])} without, a day")
    finally:
        _suspend(meter, suspended)
    return found


def costs(pairs: Sequence[tuple[Rates, Rates]]) -> list[str]:
    """What the guard costs a day, as sentences."""
    cpu = mean_interval([DAY_S * (on.cpu - off.cpu) for on, off in pairs])
    calls = mean_interval([DAY_S * (on.calls - off.calls) for on, off in pairs])
    if cpu is None or calls is None:
        return ["Two pairs of turns are needed at least."]
    return [
        f"The guard costs {_figure(cpu)} CPU seconds a day on all nodes together,",
        f"and {_figure(calls)} calls of the API server, all that Kubernetes makes for its pods included:",
        f"means of {cpu.n} pairs of turns with 95 % intervals.",
    ]


def _turn(meter: Meter, turn_s: float, sleep: Callable[[float], None], *, with_guard: bool) -> Rates:
    _suspend(meter, not with_guard)
    sleep(_SETTLES_S)
    _require_free(meter)
    before = meter.read()
    sleep(turn_s)
    after = meter.read()
    _require_free(meter)
    return rates(before, after)


def _suspend(meter: Meter, suspended: bool) -> None:  # noqa: FBT001 - the field's value
    meter.patch(CRON_JOBS, CRON_JOB, {"spec": {"suspend": suspended}}, BENCHMARK)


def _require_free(meter: Meter) -> None:
    if (held := lock.find_lock(meter)) is not None:
        raise Unsupported(
            f"{meter.where} is held by {held.owner}: the guard stays with a run, and is needed. Measure when that has "
            "ended."
        )


def _day(spent: Rates) -> str:
    return f"{DAY_S * spent.cpu:,.0f} CPU s and {DAY_S * spent.calls:,.0f} calls"


def _figure(found: Interval) -> str:
    return f"{found.mean:,.0f} [{found.low:,.0f}, {found.high:,.0f}]"


_DEFAULTS: Final = GuardCostFlags()


def guard_cost(flags: GuardCostFlags = _DEFAULTS) -> int:
    """Measure and print.

    Raises:
        BadInput: a flag is invalid.
        Unsupported: there is no guard, or the cluster is held.
        Problem: the cluster can't be reached, or shows no counters.
    """
    if flags.minutes <= 0 or flags.pairs < _FEWEST:
        raise BadInput(f"MINUTES must be positive, and PAIRS {_FEWEST} at least: a cost needs an interval.")
    meter = Meter.of(flags.context, flags.namespace or OWN)
    meter.namespace = flags.namespace or find_namespace(meter) or OWN
    turns = measure(meter, turn_s=flags.minutes * _MINUTE_S, pairs=flags.pairs, sleep=time.sleep, say=print_notice)
    print("\n".join(costs(turns)))
    return 0


if __name__ == "__main__":
    sys.exit(printing(lambda: program.exit_code(guard_cost, "Interrupted: the guard is as it was before.")))
