"""What writing many objects did to the API server: how long its calls took, and how often its limits refused one."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from steps.cluster.kube.api.client import Client
from steps.tools.connect_probe import percentile

AT_ONCE: Final = 8
"""Calls in parallel: the API server's default limits (priority and fairness) let far more of one client wait."""

REMOVED_AT_ONCE: Final = 4
"""Calls in parallel that remove a batch each."""

_AHEAD: Final = 500
"""Calls that are prepared at a time, since a scale has a hundred thousand."""

_EVERY_S: Final = 0.2
"""The time between two calls that only read, beside those that write."""


@dataclass(slots=True)
class ApiLoad:
    """The calls of one change of the scale.

    Attributes:
        seconds: that the whole change took.
        writes_s: the duration of each call that wrote.
        reads_s: of each call that read the server's version meanwhile: its latency for everybody else.
        throttled: the number of requests that the server's limits refused; each was repeated when it said.
    """

    seconds: float = 0.0
    writes_s: list[float] = field(default_factory=list)
    reads_s: list[float] = field(default_factory=list)
    throttled: int = 0

    def write(self, call: Callable[[], object]) -> None:
        """Make a call that writes, and record its duration."""
        began = time.monotonic()
        call()
        self.writes_s.append(time.monotonic() - began)

    def read_s(self, share: float) -> float | None:
        """The duration of a read that this share of them does not exceed; None: there was no read."""
        return percentile(sorted(self.reads_s), share)

    @property
    def sentence(self) -> str:
        """The calls and their durations, as a clause."""
        if not self.writes_s:
            return "nothing to write"
        found = f"{len(self.writes_s)} calls in {self.seconds:.1f} s, each {_durations(self.writes_s)}"
        if self.reads_s:
            found += f"; meanwhile the API server answered a read in {_durations(self.reads_s)}"
        return found + (f"; {self.throttled} were put off by its limits" if self.throttled else "")


@contextmanager
def recorded(client: Client) -> Iterator[ApiLoad]:
    """Record the calls of a block, and meanwhile how long the API server takes to answer a small read."""
    load, over = ApiLoad(), threading.Event()
    began, throttled = time.monotonic(), client.throttled

    def read() -> None:
        while not over.wait(_EVERY_S):
            asked = time.monotonic()
            client.now()
            load.reads_s.append(time.monotonic() - asked)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            yield load
        finally:
            over.set()
            load.seconds = time.monotonic() - began
            load.throttled = client.throttled - throttled
    reader.result()


def in_parallel(load: ApiLoad, calls: Iterable[Callable[[], object]], at_once: int = AT_ONCE) -> None:
    """Make calls that write, several at once, and record each. The first error ends it, when those begun have ended."""
    left = iter(calls)
    with ThreadPoolExecutor(at_once) as pool:
        while made := [pool.submit(partial(load.write, call)) for call in islice(left, _AHEAD)]:
            try:
                for each in made:
                    each.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _durations(found_s: Sequence[float]) -> str:
    ordered = sorted(found_s)
    shown = {"": percentile(ordered, 0.5), "99%: ": percentile(ordered, 0.99), "longest: ": ordered[-1]}
    median, *others = (f"{name}{1000 * each:.0f}" for name, each in shown.items() if each is not None)
    return f"{median} ms ({', '.join(others)})"
