"""Look at one node from a pod on it, without any privilege, and say what is seen, a line of JSON each second.

`python -m steps.cluster.kube.probe.node_probe SPEC`; SPEC is the JSON of a `Spec`. It looks at its own network, tries
connections to the targets, keeps some open on the lines, and answers those of others on the port `echo`. It goes on
through a switch.
"""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from steps.cluster.kube.probe import connections
from steps.cluster.kube.probe.connections import HeldConnection, Target, TargetResult

SAYS_S: Final = 1.0

_TIMEOUT_S: Final = 1.0
_LOOPBACKS: Final = ("127.0.0.1", "[::1]")
"""Where the agents of a node listen: by IPv6 on clusters that have nothing else."""

_PROXY_MODE: Final = "10249/proxyMode"
_READINESS: Final = "9099/readiness"
_METRICS: Final = "9091/metrics"
_VXLANS: Final = ("vxlan.calico", "vxlan-v6.calico")
_USAGE: Final = "usage: python -m steps.cluster.kube.probe.node_probe SPEC\n"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to do. `host`: this is a pod in the node's own network. `echo`: the port to answer on; None: none."""

    node: str
    address: str
    host: bool
    targets: tuple[Target, ...]
    lines: tuple[Target, ...]
    echo: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """From JSON.

        Raises:
            ValueError: it makes no sense.
        """
        try:
            found = json.loads(text)
            return cls(
                node=found["node"],
                address=found["address"],
                host=found["host"],
                targets=tuple(Target(**each) for each in found["targets"]),
                lines=tuple(Target(**each) for each in found["lines"]),
                echo=found["echo"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing or wrong in the spec") from None

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


async def run(spec: Spec, say: Callable[[str], None], until: Awaitable[None] | None = None) -> None:
    """Look, and answer, until cancelled or until `until` is done.

    Raises:
        OSError: the echo port can't be had.
    """
    fared = [TargetResult(target.name, target.node, connections.now()) for target in spec.targets]
    tcp = [HeldConnection(line.name, "tcp") for line in spec.lines]
    udp = [HeldConnection(line.name, "udp") for line in spec.lines]
    host: dict[str, Any] = {}
    async with contextlib.AsyncExitStack() as stack:
        if spec.echo is not None:
            await connections.answer(spec.echo, stack)
        tasks = [connections.try_connections(target, fare) for target, fare in zip(spec.targets, fared, strict=True)]
        tasks += [connections.hold_tcp(line, held) for line, held in zip(spec.lines, tcp, strict=True)]
        tasks += [connections.hold_udp(line, held) for line, held in zip(spec.lines, udp, strict=True)]
        if spec.host:
            tasks.append(_watch_host(spec.address, host))
        running = [asyncio.ensure_future(task) for task in tasks]
        stack.push_async_callback(_end, running)
        end = asyncio.ensure_future(until) if until is not None else None
        while end is None or not end.done():
            await asyncio.sleep(SAYS_S)
            seen = {"at": connections.now(), "node": spec.node, "host": host or None}
            lines = {"answers": [asdict(f) for f in fared], "lines": [h.told() for h in (*tcp, *udp)]}
            say(json.dumps({**seen, **lines}, separators=(",", ":")))


async def _end(tasks: Sequence["asyncio.Future[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _watch_host(address: str, seen: dict[str, Any]) -> None:
    while True:
        found = await asyncio.to_thread(host, address)
        answered = found["at"] if found["felix_ready"] is not None else seen.get("felix_answered_at")
        seen.update(found | {"felix_answered_at": answered})
        await asyncio.sleep(SAYS_S)


def host(address: str) -> dict[str, Any]:
    """What this network namespace, of the node with this address, shows of the dataplane; None: it does not."""
    ready = _status(_READINESS)
    uplink, mtu_bytes = _uplink(address)
    names = [name for _, name in socket.if_nameindex()]
    return {
        "at": connections.now(),
        "interfaces": sorted(name for name in names if not name.startswith("cali")),
        "uplink": uplink,
        "uplink_mtu_bytes": mtu_bytes,
        "vxlan_external": next((_external(name) for name in _VXLANS if name in names), None),
        "proxy_mode": _body(_PROXY_MODE),
        "felix_ready": None if ready is None else ready in {200, 204},
        "felix_started_at": _started(_body(_METRICS)),
    }


def _uplink(address: str) -> tuple[str | None, int | None]:
    """The interface that has the node's address, and its MTU."""
    import psutil  # noqa: PLC0415 - for a pod in the node's network only

    own = psutil.net_if_addrs()
    name = next((name for name, found in own.items() if any(_same(each.address, address) for each in found)), None)
    found = psutil.net_if_stats().get(name) if name is not None else None
    return name, found.mtu if found is not None else None


def _same(one: str, other: str) -> bool:
    """Whether two texts are one IP address: IPv6 can be written in several ways, and with its interface."""
    try:
        return ip_address(one.partition("%")[0]) == ip_address(other)
    except ValueError:  # a MAC address
        return False


def _external(interface: str) -> bool | None:
    """Whether the tunnel interface takes its tunnels from metadata, as in `ip -d link`'s word `external`."""
    try:
        from pyroute2 import IPRoute  # noqa: PLC0415 - for a pod in the node's network only

        with IPRoute() as netlink:
            (found,) = netlink.get_links(ifname=interface)
            data = found.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
            return bool(data.get_attr("IFLA_VXLAN_COLLECT_METADATA")) if data is not None else None
    except Exception:  # noqa: BLE001 - netlink's errors are of many kinds, and this is one sign of several
        return None


def _body(where: str) -> str | None:
    for loopback in _LOOPBACKS:
        try:
            with urlopen(f"http://{loopback}:{where}", timeout=_TIMEOUT_S) as response:
                return str(response.read().decode(errors="replace")).strip()
        except (URLError, OSError, ValueError):
            continue
    return None


def _status(where: str) -> int | None:
    for loopback in _LOOPBACKS:
        try:
            with urlopen(f"http://{loopback}:{where}", timeout=_TIMEOUT_S) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code
        except (OSError, ValueError):
            continue
    return None


def _started(metrics: str | None) -> str | None:
    for line in (metrics or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "process_start_time_seconds":
            with contextlib.suppress(ValueError, OverflowError, OSError):
                return datetime.fromtimestamp(float(value), UTC).isoformat()
    return None


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """The command line. Exit code 1 with a sentence on stderr when it can't, 2 when it is called wrongly."""
    try:
        spec = Spec.parse(*arguments)
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"{_USAGE}{error}\n")
        return 2
    try:
        asyncio.run(run(spec, _print))
    except OSError as error:
        sys.stderr.write(f"look: port {spec.echo} can't be had: {error.strerror or error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
