"""Programming latency: how late the nodes follow a change, as their own connections show it.

From the API server's acceptance of a Service, of an endpoint, of the removal of an endpoint or of a NetworkPolicy to
the first connection from a pod of each measured node that is answered, or is no longer. A pod on each node connects,
and notes the time by its node's clock; another answers. Each change is undone afterwards, and that is awaited too, so
that the next one begins from the same state. Several are under way at once.

A change that is timed follows the one before it after a random pause, so that it may meet any moment of the agents' own
rhythm. kube-proxy writes its rules once a second at most, or as often as it can where that takes longer: a change made
at once after another has worked would always meet the beginning of such a period, and take all of it.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from analysis.errors import Problem
from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import BENCHMARK, ENDPOINTSLICES, NETWORK_POLICIES, SERVICES
from steps.cluster.kube.probe.waiting_client import Awaited
from steps.cluster.kube.scale.objects import PROGRAMMING, endpoint, endpoint_slice, service_labels
from steps.cluster.kube.scale.observations import ObservedChange
from steps.cluster.kube.scale.programming_pods import ECHO, ECHO_PORT, ROLE, ProgrammingPods
from steps.cluster.kube.workloads import owned
from steps.cluster.kube.workloads.manifests import LABEL, NAME, NAMED, service_port
from steps.cluster.kube.workloads.workload import Workload
from steps.polling import poll

ApiWrite = Callable[[], object]
TimedPart = Literal["made", "undone"]

_LANES: Final = 10
"""Services that are changed at the same time, each on its own."""

_PAUSE_S: Final = 1.0
"""The longest pause before a change that is timed, where none before it took longer."""

_LONGEST_PAUSE_S: Final = 10.0
"""The longest one where a change took longer still, such as Felix's second attempt at a pod that has gone."""

_AGAIN_S: Final = 0.1
"""The pause before an address that is not as before the change is tried again."""


@dataclass(frozen=True, slots=True)
class Toggle:
    """A change that can be made and undone again and again.

    Attributes:
        make: the call that makes it.
        undo: the call that undoes it.
        made: what shows that it was made; undone, the opposite.
        addresses: where the connections of each site's pod go.
        port: of these addresses.
        arm: what the change needs beside itself, written once it is undone.
    """

    make: ApiWrite
    undo: ApiWrite
    made: Awaited
    addresses: tuple[str, ...]
    port: int = ECHO_PORT
    arm: ApiWrite = lambda: None

    def reset(self) -> None:
        """Undo it, in whatever state it is, and write what it needs."""
        self.undo()
        self.arm()

    @property
    def undone(self) -> Awaited:
        """What shows that it was undone."""
        return "unanswered" if self.made == "answered" else "answered"


def observe(
    client: Client, bench: ProgrammingPods, kind: str, duration_s: float, timeout_s: float
) -> list[ObservedChange]:
    """Make a change of a kind again and again for so long, and return when each node followed.

    `kind`: the name of a tool of `steps.tools.programming`, except that of starts of pods. After `duration_s` no change
    is made. `timeout_s`: how long a node may take to follow; a lane ends with the first that takes longer.

    Raises:
        Problem: a pod or the API server does not answer.
    """
    stopped = threading.Event()
    if kind == "policy_enforced":
        return _lane(bench, _policy(client, bench), "made", duration_s, timeout_s, stopped)
    make = _service if kind == "service_added" else _endpoint
    timed: TimedPart = "undone" if kind == "endpoint_removed" else "made"
    with ThreadPoolExecutor(_LANES) as pool:
        # all have their addresses before the first gives its own back, so that none takes another's
        toggles = list(pool.map(lambda _number: make(client, bench), range(_LANES)))
        lanes = list(pool.map(lambda toggle: _lane(bench, toggle, timed, duration_s, timeout_s, stopped), toggles))
    return [each for lane in lanes for each in lane]


def await_all(client: Client, bench: ProgrammingPods, timeout_s: float) -> list[ObservedChange]:
    """Make one more Service, and wait until it is answered from each node: then all earlier ones are in its rules too.

    Agents get changes in the order in which the API server accepted them, and write all that they have got.
    """
    toggle = _service(client, bench)
    try:
        toggle.reset()
        return _changed(bench, toggle, toggle.make, toggle.made, timeout_s)
    finally:
        toggle.undo()


def _lane(
    bench: ProgrammingPods,
    toggle: Toggle,
    timed: TimedPart,
    duration_s: float,
    timeout_s: float,
    stopped: threading.Event,
) -> list[ObservedChange]:
    """Make the change and undo it until the time is over or a node has not followed; it is undone in the end.

    `timed`: which of the two is observed. The first change is not, unless a node does not follow it: it tells how long
    the agents take here. `stopped`: set where a lane fails, which ends the others.
    """
    found: list[ObservedChange] = []
    make = partial(_changed, bench, toggle, toggle.make, toggle.made, timeout_s)
    undo = partial(_changed, bench, toggle, toggle.undo, toggle.undone, timeout_s)
    observed, between, first = (make, undo, (make, undo)) if timed == "made" else (undo, make, (make,))
    longest_s = _PAUSE_S
    try:
        toggle.reset()
        for change in first:
            last = change()
            if not _followed(last):
                return last
            longest_s = _longest_s(longest_s, last)
        end = time.monotonic() + duration_s
        while not stopped.wait(random.uniform(0.0, longest_s)):  # noqa: S311 - no secret
            last = observed()
            found.extend(last)
            if not _followed(last) or time.monotonic() >= end:
                break
            last = between()
            if not _followed(last):
                break
            longest_s = _longest_s(longest_s, last)
    except BaseException:
        stopped.set()
        raise
    finally:
        toggle.undo()
    return found


def _followed(observations: Sequence[ObservedChange]) -> bool:
    return all(each.seconds is not None for each in observations)


def _longest_s(so_far_s: float, observations: Sequence[ObservedChange]) -> float:
    took_s = [each.seconds for each in observations if each.seconds is not None]
    return min(max([so_far_s, *took_s]), _LONGEST_PAUSE_S)


def _changed(
    bench: ProgrammingPods, toggle: Toggle, write: ApiWrite, awaited: Awaited, timeout_s: float
) -> list[ObservedChange]:
    """Write a change once no site's pod sees it yet, and return when each saw it.

    A node that was too busy to answer anybody for a while, as when it loads many rules, may look as if it had followed
    the change before, and answer again: it is waited for.

    Raises:
        Problem: an address is as awaited before, and stays so.
    """
    found = poll(
        lambda: _change(bench, toggle, write, awaited, timeout_s),
        lambda result: not isinstance(result, str),
        pause_s=_AGAIN_S,
        timeout_s=timeout_s,
    )
    if isinstance(found, str):
        raise Problem(found)
    return found


def _change(
    bench: ProgrammingPods, toggle: Toggle, write: ApiWrite, awaited: Awaited, timeout_s: float
) -> list[ObservedChange] | str:
    """Write a change, and return when each site's pod saw it; or why it was not written, a sentence."""
    clocks = [each.clock() for each in bench.clients]
    with ExitStack() as stack:
        waits = [
            stack.enter_context(client.waiting(address, toggle.port, awaited, timeout_s))
            for client, address in zip(bench.clients, toggle.addresses, strict=True)
        ]
        for each, address in zip(waits, toggle.addresses, strict=True):
            if not each.begun():
                state = "answers" if awaited == "answered" else "no longer answers"
                return f"{address} port {toggle.port} {state} from {each.node} before it was changed."
        write()
        accepted = time.monotonic()
        found = []
        for each, clock in zip(waits, clocks, strict=True):
            at = each.at()
            # a node may follow before the API server's answer is here
            seconds = None if at is None else max(0.0, clock.here(at) - accepted)
            found.append(ObservedChange(each.node, seconds, clock.bound_s))
        return found


def _service(client: Client, bench: ProgrammingPods) -> Toggle:
    """A Service with an address of its own, which nobody else takes while it is free unless by chance.

    It gets its endpoint once it is gone, so that a node that follows late answers nobody before the change.
    """
    name = _new_name()
    address = _made(client, name)
    manifest = _manifest(name)
    manifest["spec"]["clusterIP"] = address
    make, undo = partial(owned.create, client, SERVICES, manifest), partial(client.delete, SERVICES, name, BENCHMARK)
    arm = partial(owned.create, client, ENDPOINTSLICES, _slice(name, [bench.echoes[-1]], bench.version))
    return Toggle(make, undo, "answered", (address,) * len(bench.sites), arm=arm)


def _endpoint(client: Client, bench: ProgrammingPods) -> Toggle:
    """The only endpoint of a Service that exists all the time."""
    name = _new_name()
    owned.create(client, ENDPOINTSLICES, _slice(name, [], bench.version))
    address = _made(client, name)
    with_it, without = ({"endpoints": [endpoint(each) for each in ends]} for ends in ([bench.echoes[-1]], []))
    patch = partial(client.patch, ENDPOINTSLICES, name)
    make, undo = partial(patch, with_it, BENCHMARK), partial(patch, without, BENCHMARK)
    return Toggle(make, undo, "answered", (address,) * len(bench.sites))


def _made(client: Client, name: str) -> str:
    """Create a Service, and return the address that it got."""
    owned.create(client, SERVICES, _manifest(name))
    return str(Workload(client, PROGRAMMING).services()[name]["spec"]["clusterIP"])


def _policy(client: Client, bench: ProgrammingPods) -> Toggle:
    """A policy that lets nobody connect to the pods that answer; each site's pod connects to the next site's."""
    name = _new_name()
    metadata = {"name": name, "labels": _LABELS}
    spec = {"podSelector": {"matchLabels": {ROLE: ECHO}}, "policyTypes": ["Ingress"], "ingress": []}
    make = partial(owned.create, client, NETWORK_POLICIES, {"metadata": metadata, "spec": spec})
    undo = partial(client.delete, NETWORK_POLICIES, name, BENCHMARK)
    return Toggle(make, undo, "unanswered", tuple(map(bench.far_echo, range(len(bench.sites)))))


_LABELS: Final = {NAME: NAMED, LABEL: PROGRAMMING}


def _new_name() -> str:
    return f"{PROGRAMMING}-{secrets.token_hex(4)}"


def _manifest(name: str) -> Object:
    ports = [service_port(ECHO, ECHO_PORT)]
    return {"metadata": {"name": name, "labels": _LABELS}, "spec": {"type": "ClusterIP", "ports": ports}}


def _slice(name: str, addresses: Sequence[str], version: int) -> Object:
    metadata = {"name": name, "labels": {**_LABELS, **service_labels(name)}}
    return endpoint_slice(metadata, addresses, version, (ECHO, ECHO_PORT))
