"""iptables: kube-proxy's chains for the Services, and chains like those of Calico's Felix for the pods."""

import re
from typing import Final

from steps.cluster.lab import kernel_support
from steps.cluster.lab.mechanism import Mechanism, Traits
from steps.cluster.lab.network import addresses
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.programs import Job, output_or_none, run_all
from steps.cluster.lab.network.services import EVIDENCE, LARGE_BATCH, ServicePort, batch_size
from steps.cluster.lab.tables import BURDEN_SOURCE
from steps.cluster.lab.tables.iptables import POLICIES, RESTORE, TABLES, declared, endpoint_chain, nat, service_chain
from steps.domain import Change

_COUNT: Final = re.compile(r"-c (\d+) \d+ -j (\S+)")
_VARIES: Final = re.compile(r" \[\d+:\d+\]$|^# (?:Generated|Completed) .*$", re.MULTILINE)
"""In what is saved: counters of chains, and the time."""

_MADE: Final = re.compile(r"^(?:-A|#|:(?!\S+ ACCEPT$))", re.MULTILINE)
"""Lines that a table without rules and chains of its own does not have, as iptables saves one that there isn't."""

BURDEN_CHAIN = "burden"


def install(ports: list[ServicePort], burden: int) -> list[Change]:
    """Load the rules on both nodes."""
    texts = {node.name: rules(node, ports, burden, batch_size(LARGE_BATCH)) for node in addresses.NODES}
    run_all(Job(name, RESTORE, text) for name, text in texts.items())
    return [
        Change(
            what=f"iptables on {name}: {text.count('-A ')} rules, {len(ports)} Service ports",
            command=f"nsenter --net=/run/netns/{name} {' '.join(RESTORE)} < {name}.rules",
        )
        for name, text in texts.items()
    ]


def rules(node: LabNode, ports: list[ServicePort], burden: int = 0, batch: int = LARGE_BATCH) -> str:
    """All rules of a node, as input of iptables-restore."""
    return "\n".join(
        (
            "*raw", *_raw(), "COMMIT",
            "*mangle", *_mangle(), "COMMIT",
            "*filter", *_filter(node, burden), "COMMIT",
            *nat(node, ports, batch), "",
        )
    )  # fmt: skip


def _raw() -> list[str]:
    return [
        *declared(("cali-PREROUTING", "cali-OUTPUT", "cali-rpf-skip", "cali-from-host-endpoint")),
        "-A PREROUTING -j cali-PREROUTING",
        "-A OUTPUT -j cali-OUTPUT",
        "-A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000",
        "-A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000",
        "-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -j cali-rpf-skip",
        "-A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --validmark --invert -j DROP",
        "-A cali-PREROUTING -m mark --mark 0x0/0x40000 -j cali-from-host-endpoint",
        "-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT",
        "-A cali-OUTPUT -j MARK --set-xmark 0x0/0xf0000",
    ]


def _mangle() -> list[str]:
    return [
        *declared(("cali-PREROUTING", "cali-from-host-endpoint")),
        "-A PREROUTING -j cali-PREROUTING",
        "-A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j ACCEPT",
        "-A cali-PREROUTING -j cali-from-host-endpoint",
    ]


def _filter(node: LabNode, burden: int) -> list[str]:
    other = addresses.peer(node)
    vxlan = f"-p udp -m multiport --dports {addresses.TUNNEL_PORT}"
    lines = [
        *declared(
            (
                *(BURDEN_CHAIN, POLICIES),
                *("cali-FORWARD", "cali-INPUT", "cali-OUTPUT", "cali-from-hep-forward", "cali-to-hep-forward"),
                *("cali-from-wl-dispatch", "cali-to-wl-dispatch", "cali-wl-to-host", "cali-pro-kns", "cali-pri-kns"),
                *(f"cali-{way}-{pod.cable}" for pod in node.pods for way in ("fw", "tw")),
                *("KUBE-FORWARD", "KUBE-PROXY-FIREWALL", "KUBE-SERVICES"),
            )
        ),
        *(f"-A FORWARD -j {BURDEN_CHAIN}" for _ in range(min(burden, 1))),
        *(f"-A {BURDEN_CHAIN} -s {BURDEN_SOURCE}/32 -j DROP" for _ in range(burden)),
        "-A INPUT -j cali-INPUT",
        "-A INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "-A FORWARD -j cali-FORWARD",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
        "-A FORWARD -j KUBE-FORWARD",
        "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
        "-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT",
        "-A OUTPUT -j cali-OUTPUT",
        "-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000",
        "-A cali-FORWARD -m mark --mark 0x0/0x10000 -j cali-from-hep-forward",
        "-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch",
        "-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch",
        "-A cali-FORWARD -j cali-to-hep-forward",
        f"-A cali-INPUT {vxlan} -s {other.address}/32 -m addrtype --dst-type LOCAL -j ACCEPT",
        f"-A cali-INPUT {vxlan} -m addrtype --dst-type LOCAL -j DROP",
        "-A cali-INPUT -i cali+ -g cali-wl-to-host",
        f"-A cali-OUTPUT {vxlan} -m addrtype --src-type LOCAL -j ACCEPT",
        "-A cali-wl-to-host -j cali-from-wl-dispatch",
        "-A cali-wl-to-host -j ACCEPT",
    ]
    for pod in node.pods:
        lines.append(f"-A cali-from-wl-dispatch -i {pod.cable} -g cali-fw-{pod.cable}")
        lines.append(f"-A cali-to-wl-dispatch -o {pod.cable} -g cali-tw-{pod.cable}")
        lines += _endpoint(f"cali-fw-{pod.cable}", "cali-pro-kns", from_pod=True)
        lines += _endpoint(f"cali-tw-{pod.cable}", "cali-pri-kns", from_pod=False)
    lines += ["-A cali-from-wl-dispatch -j DROP", "-A cali-to-wl-dispatch -j DROP"]
    for profile in ("cali-pro-kns", "cali-pri-kns"):
        lines.append(f"-A {profile} -j MARK --set-xmark 0x10000/0x10000")
        lines.append(f"-A {profile} -m mark --mark 0x10000/0x10000 -j RETURN")
    return [
        *lines,
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
        "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ]


def _endpoint(chain: str, profile: str, *, from_pod: bool) -> list[str]:
    spoof = [f"-p udp -m multiport --dports {addresses.TUNNEL_PORT} -j DROP", "-p ipencap -j DROP"] if from_pod else []
    body = [
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-m conntrack --ctstate INVALID -j DROP",
        "-j MARK --set-xmark 0x0/0x10000",
        *spoof,
        f"-j {POLICIES}",
        "-m mark --mark 0x10000/0x10000 -j RETURN",
        f"-j {profile}",
        "-m mark --mark 0x10000/0x10000 -j RETURN",
        "-j DROP",
    ]
    return [f"-A {chain} {rule}" for rule in body]


def _counted(node: LabNode, table: str, chain: str, targets: tuple[str, ...]) -> int | None:
    """Packets that rules of a chain passed to these chains; None if there is no such chain."""
    listed = output_or_none(Job(node.name, ("iptables-nft", "-t", table, "-v", "-S", chain)))
    if listed is None:
        return None
    return sum(int(packets) for packets, target in _COUNT.findall(listed) if target in targets)


def _parts(node: LabNode) -> dict[str, str]:
    """By iptables-nft-save: nft takes 12 s to list 100,000 rules of iptables, where that takes 2 s."""
    saved = {
        t: output_or_none(Job(node.name, ("iptables-nft-save", "-t", t))) or "" for t in ("raw", "mangle", "filter")
    }
    constant = {table: _VARIES.sub("", text) for table, text in saved.items()}
    return {f"iptables table {table}": text for table, text in constant.items() if _MADE.search(text)}


_TRIED: Final = (
    "*nat\n-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 1 -m comment --comment trial "
    "-j DNAT --to-destination 192.0.2.2:1\nCOMMIT\n"
    "*filter\n-A FORWARD -m conntrack --ctstate NEW -m addrtype --dst-type LOCAL -j ACCEPT\nCOMMIT\n"
)
"""Rules that the kernel must accept."""

_DISPATCHES: Final = ("cali-from-wl-dispatch", "cali-to-wl-dispatch")

MECHANISM: Final = Mechanism(
    "iptables",
    counters="counters of iptables chain cali-FORWARD",
    packets=lambda node: _counted(node, "filter", "cali-FORWARD", _DISPATCHES),
    connections=lambda node: _counted(node, "nat", service_chain(EVIDENCE[0]), (endpoint_chain(EVIDENCE[0]),)),
    refusal=lambda: kernel_support.refusal_of_rules(RESTORE, _TRIED),
    counting_programs=("iptables-nft", "iptables-nft-save"),
    programs=("iptables-nft-restore",),
    tables=TABLES,
    parts=_parts,
)
TRAITS: Final = Traits(MECHANISM, tracks_connections=True, returns_directly=False)
