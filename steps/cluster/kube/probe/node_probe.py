"""The program that observes one node from a pod on it, without privileges, and prints a line of JSON each second.

`python -m steps.cluster.kube.probe.node_probe SPEC`; SPEC is the JSON of a `Spec`. It reads the state of its own
network, opens connections to the targets, keeps connections to the lines open, and serves echo on the port `echo`. It
continues through a switch, and rests during trials.
"""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec

from steps.cluster.kube.probe import agent_metrics, connections, echo
from steps.cluster.kube.probe.agent import Agent
from steps.cluster.kube.probe.connections import HeldConnection, Target, TargetResult
from steps.cluster.kube.probe.rest import Messages, Rest
from steps.kernel_memory import held_bytes
from steps.serving import exit_code

REPORT_S: Final = 1.0
"""The time between two lines."""

_WOKEN_S: Final = 0.3
"""From the end of a rest to the next line: enough for a connection to each target, and for the agents' answers."""

_TIMEOUT_S: Final = 1.0
_BAD: Final = 300
_LONGEST: Final = 100
"""Characters of an agent's answer that are reported."""
_LOOPBACKS: Final = ("127.0.0.1", "[::1]")
"""The addresses of a node's agents: IPv6 on clusters without IPv4."""

_PROXY_MODE: Final = "10249/proxyMode"
_PROXY_METRICS: Final = "10249/metrics"
_LARGEST_BYTES: Final = 4 * 2**20
"""Of an agent's answer; the metrics of a large cluster take a tenth of it."""

_USAGE: Final = "usage: python -m steps.cluster.kube.probe.node_probe SPEC\n"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to do.

    Attributes:
        node: that the pod runs on.
        address: of the node.
        host: whether the pod is in the node's own network.
        token: of all requests and replies, 32 hexadecimal digits.
        targets: of new connections.
        lines: of connections that stay open.
        echo: the port to serve; None: none.
        agent: the network plugin's on the node.
    """

    node: str
    address: str
    host: bool
    token: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    targets: tuple[Target, ...]
    lines: tuple[Target, ...]
    echo: int | None = None
    agent: Agent = field(default_factory=Agent)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """From JSON.

        Raises:
            ValueError: it is damaged.
        """
        return msgspec.json.decode(text, type=cls)

    def text(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()


async def run(spec: Spec, report: Callable[[str], None], until: Awaitable[object] | None = None) -> None:
    """Observe and serve until cancelled, or until `until` is done.

    While it rests it reports only until each connection has got its reply or is dead. All counts begin anew after it.

    Raises:
        OSError: the echo port is unavailable.
    """
    results = [TargetResult(target.name, target.node) for target in spec.targets]
    held = [HeldConnection(line.name, protocol) for protocol in ("tcp", "udp") for line in spec.lines]
    host: dict[str, Any] = {}

    def begin_anew() -> None:
        counts: list[TargetResult | HeldConnection] = [*results, *held]
        for each in counts:
            _reset(each)

    rest = Rest(Messages.of(spec.token), learns=spec.echo is None, woken=begin_anew)
    async with contextlib.AsyncExitStack() as stack:
        if spec.echo is not None:
            await echo.serve_echo(spec.echo, rest, stack, spec.address if spec.host else None)
        count = len(spec.lines)
        tasks = [
            *(connections.try_connections(*each, rest) for each in zip(spec.targets, results, strict=True)),
            *(connections.hold_tcp(*each, rest) for each in zip(spec.lines, held[:count], strict=True)),
            *(connections.hold_udp(*each, rest) for each in zip(spec.lines, held[count:], strict=True)),
            *(connections.ask_to_wake(target, rest) for target in spec.targets[:1] if spec.echo is None),
        ]
        if spec.host:
            tasks.append(_watch_host(spec, host, rest))
        running = [asyncio.ensure_future(task) for task in tasks]
        stack.push_async_callback(connections.cancel, running)
        end = asyncio.ensure_future(until) if until is not None else None
        is_over = False
        while end is None or not end.done():
            await until_due(rest)
            if not (is_over and rest.now):
                is_over = rest.now and all(line.closed for line in held)
                state = {"at": connections.now(), "node": spec.node, "host": host or None, "rests": rest.now}
                answers = [asdict(each) for each in results]
                report(json.dumps({**state, "answers": answers, "lines": [each.as_json() for each in held]}))


async def until_due(rest: Rest) -> None:
    """Wait for the next report: a second, or less when a rest ends, since the step that ended it reads that report."""
    if not rest.now:
        await asyncio.sleep(REPORT_S)
        return
    try:
        async with asyncio.timeout(REPORT_S):
            await rest.awake.wait()
    except TimeoutError:
        return
    await asyncio.sleep(_WOKEN_S)


def _reset(counts: TargetResult | HeldConnection) -> None:
    """Give every field that counts its first value."""
    for each in fields(counts):
        if each.default is not MISSING:
            setattr(counts, each.name, each.default)
        elif each.default_factory is not MISSING:
            setattr(counts, each.name, each.default_factory())


async def _watch_host(spec: Spec, state: dict[str, Any], rest: Rest) -> None:
    while True:
        await rest.awake.wait()
        found = await asyncio.to_thread(host, spec.address, spec.agent)
        answered = found["at"] if found["agent_ready"] is not None else state.get("agent_answered_at")
        state.update(found | {"agent_answered_at": answered})
        await asyncio.sleep(REPORT_S)


def host(address: str, agent: Agent) -> dict[str, Any]:
    """The state of the dataplane in this network namespace, of the node with this address; None is unknown."""
    ready = _get(agent.readiness)
    mode, page, proxy = (
        answer[1] if (answer := _get(where)) and answer[0] < _BAD else None
        for where in (_PROXY_MODE, agent.metrics, _PROXY_METRICS)
    )
    chosen = (*agent_metrics.PROCESS, agent.local_policies)
    uplink, mtu_bytes = _uplink(address)
    names = [name for _, name in socket.if_nameindex()]
    return {
        "at": connections.now(),
        "interfaces": sorted(name for name in names if not name.startswith(agent.pod_interfaces)),
        "uplink": uplink,
        "uplink_mtu_bytes": mtu_bytes,
        "tunnel_external": next((_external(name) for name in agent.tunnels if name in names), None),
        "proxy_mode": mode[:_LONGEST] if mode is not None else None,
        "agent_ready": None if ready is None else ready[0] in {200, 204},
        "agent_started_at": _started(page),
        "agent": agent_metrics.chosen(page, chosen),
        "kube_proxy": agent_metrics.chosen(proxy, agent_metrics.KUBE_PROXY),
        "kernel_memory_bytes": held_bytes(agent_metrics.KERNEL),
    }


def _uplink(address: str) -> tuple[str | None, int | None]:
    """The interface that has the node's address, and its MTU."""
    import psutil  # noqa: PLC0415 - for a pod in the node's network only

    own = psutil.net_if_addrs()
    name = next((name for name, found in own.items() if any(_same(each.address, address) for each in found)), None)
    found = psutil.net_if_stats().get(name) if name is not None else None
    return name, found.mtu if found is not None else None


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same IP address: IPv6 has several spellings, and may have an interface."""
    try:
        return ip_address(one.partition("%")[0]) == ip_address(other)
    except ValueError:  # a MAC address
        return False


def _external(interface: str) -> bool | None:
    """Whether the tunnel interface takes its tunnels from metadata (`external` in `ip -d link`)."""
    try:
        from pyroute2 import IPRoute  # noqa: PLC0415 - for a pod in the node's network only

        with IPRoute() as netlink:
            (found,) = netlink.get_links(ifname=interface)
            data = found.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
            return bool(data.get_attr("IFLA_VXLAN_COLLECT_METADATA")) if data is not None else None
    except Exception:  # noqa: BLE001 - netlink has many errors, and this is one sign of several
        return None


def _get(where: str | None) -> tuple[int, str] | None:
    """The status and the body of an agent's answer; None: no agent answers there, or it has no such page."""
    if where is None:
        return None
    for loopback in _LOOPBACKS:
        try:
            with urlopen(f"http://{loopback}:{where}", timeout=_TIMEOUT_S) as response:
                return int(response.status), response.read(_LARGEST_BYTES).decode(errors="replace").strip()
        except HTTPError as error:
            return error.code, ""
        except (OSError, ValueError):
            continue
    return None


def _started(metrics: str | None) -> str | None:
    seconds = (agent_metrics.chosen(metrics, (agent_metrics.STARTED,)) or {}).get(agent_metrics.STARTED)
    if seconds is not None:
        with contextlib.suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(seconds, UTC).isoformat()
    return None


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr when the port is unavailable, 2 for wrong arguments."""
    try:
        spec = Spec.parse(*arguments)
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"{_USAGE}{error}\n")
        return 2
    return exit_code(lambda: asyncio.run(run(spec, _print)), f"node probe: port {spec.echo}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
