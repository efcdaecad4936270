"""What tests do inside a sandbox: each function returns a JSON value.

`python -m tests.steps.lab.scripts NAME ARGUMENTS` calls one of them, `server.py` many.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from analysis.errors import Problem
from steps.catalogue.dataplanes import Arm
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY, SERVED
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.lab import capabilities, sandbox, servers, state
from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.dataplanes import load
from steps.cluster.lab.evidence import counters
from steps.cluster.lab.network import addresses, services, topology
from steps.cluster.lab.network.processes import processes
from steps.cluster.lab.network.programs import Job, output_or_none, run_one
from steps.domain import Visit
from steps.measurement.subprocesses import search_everywhere
from steps.namespaces import command_in, path, within
from steps.proof import scale as proof
from tests.steps.builders import trial
from tests.steps.lab.visits import proof_of, received_mbps, settings_of, visit_to


def carry(arm: str, count: int) -> dict[str, object]:
    """Build, prove, measure every topology in both protocols and directions, prove again, take away."""
    lab, visit, settings = LabCluster(), visit_to(arm), settings_of(arm, count)
    changes = lab.configure(visit, settings)
    again = lab.configure(visit, settings)
    before = lab.observe(visit, "before")
    placements = lab.prepare(visit, settings)
    rates = {}
    for placement in placements:
        for name, options in {"tcp": ("-C", "cubic"), "udp": ("-u", "-b", "300M", "-l", "1398")}.items():
            for way in ((), ("-R",)):
                rates[f"{placement.topology} {name} {' '.join(way)}"] = received_mbps(placement, *options, *way)
        port = str(placement.ports["tcp_connect"])
        probe = (sys.executable, "-m", "steps.tools.connect_probe", "probe", placement.address, port, "0.1")
        done = subprocess.run(command_in(placement.namespace, probe), capture_output=True, check=True)
        rates[f"{placement.topology} connect"] = float(json.loads(done.stdout)["connects_per_s"] or 0)
    after = lab.observe(visit, "after")
    lab.clear(visit)
    listening = {n: sorted(servers.listening(n)) for n in addresses.NAMESPACES}
    restored = lab.restore()
    return {
        "changes": [c.model_dump() for c in changes],
        "again": len(again),
        "before": proof_of(before, arm),
        "after": proof_of(after, arm),
        "signs": [s.model_dump(mode="json") for s in (*before, *after)],
        "placements": [p.topology for p in placements],
        "rates": rates,
        "listening": listening,
        "restored": len(restored),
        "restored_again": len(lab.restore()),
        "left": topology.present_namespaces(),
    }


def scaled(arm: str) -> dict[str, object]:
    """Take a lab from scale to scale, with the signs and the proof at each, and time its updates at one."""
    lab, chosen, visit = LabCluster(), settings_of(arm, 0), visit_to(arm, topologies=())
    lab.configure(visit, chosen)
    found: list[dict[str, object]] = []
    times: dict[str, object] = {}
    for scale in (
        Scale(services=30, endpoints=3, policies=4),
        Scale(services=30, endpoints=3, policies=4, churn_per_s=20),
        Scale(services=5, policies=1),
        Scale(),
    ):
        changed = proof.change_scale(
            proof.begin(scale, 1),
            partial(lab.set_scale, visit, chosen),
            partial(lab.count_scale, visit, chosen),
            60,
            lambda _: None,
        )
        signs = [sign.model_dump(mode="json") for sign in changed.signs]
        found.append({"error": changed.error, "signs": signs, "proof": proof_of(lab.observe(visit, "before"), arm)})
        if scale.policies == 1:
            timed = trial(protocol="rules-update", scale=scale)
            times = json.loads(lab.time_changes(visit, chosen, timed))
    again = lab.set_scale(visit, chosen, Scale())
    lab.restore()
    return {"scales": found, "times": times, "again": len(again)}


def disguised(asked: str, real: str) -> dict[str, object]:
    """Install one dataplane, say it is another, and look."""
    lab = LabCluster()
    lab.configure(visit_to(real), settings_of(real))
    state.write_state(state.wanted_state(visit_to(asked), settings_of(asked)))
    return proof_of(lab.observe(visit_to(asked), "before"), asked)


def mixed(first: str, second: str) -> dict[str, object]:
    """Install one dataplane over another, on one node only of which the second takes the traffic."""
    lab = LabCluster()
    lab.configure(visit_to(first), settings_of(first))
    load(Arm.parse(second)).install(services.all_ports(20), 0)
    return proof_of(lab.observe(visit_to(first), "before"), second)


def bare() -> dict[str, object]:
    """Look at a lab with no dataplane at all."""
    topology.build_lab(offloads=False)
    signs = counters.observe("before")
    return {"proof": proof_of(signs, "lab-ebpf"), "told": sum(s.indicates is not None for s in signs)}


def untouched_by_looking(arm: str) -> dict[str, object]:
    """What nft lists on a node before and after looking."""
    lab = LabCluster()
    lab.configure(visit_to(arm), settings_of(arm))
    tables = Job(addresses.NODE_A.name, ("nft", "list", "tables"))
    before = run_one(tables)
    lab.observe(visit_to(arm), "before")
    return {"before": before, "after": run_one(tables)}


def fastest_round_trips(*arms: str) -> list[float]:
    """For each arm the least time of many datagrams from pod to pod and back, in microseconds."""
    return [_fastest_round_trip(arm) for arm in arms]


def _fastest_round_trip(arm: str) -> float:
    LabCluster().configure(visit_to(arm), settings_of(arm))
    server = within(addresses.SERVER_POD.name, lambda: socket.socket(type=socket.SOCK_DGRAM))
    client = within(addresses.CLIENT_POD.name, lambda: socket.socket(type=socket.SOCK_DGRAM))
    with server, client:
        server.bind(("", 7000))
        client.connect((addresses.SERVER_POD.address, 7000))
        best = float("inf")
        for _ in range(1000):
            start = time.perf_counter()
            client.send(b"x")
            data, sender = server.recvfrom(8)
            server.sendto(data, sender)
            client.recv(8)
            best = min(best, time.perf_counter() - start)
    return best * 1e6


def half_built(damage: str) -> dict[str, object]:
    """Leave half a lab behind, as a killed step would, and configure."""
    lab, arm = LabCluster(), "lab-nftables"
    if damage == "names only":
        for name in addresses.NAMESPACES:
            path(name).touch()
    elif damage == "no links":
        for job in topology.build_jobs(offloads=False)[0]:
            path(str(job.argv[1]).rpartition("/")[2]).touch()
            run_one(job)
    else:
        lab.configure(visit_to(arm, 1), settings_of(arm))
        lab.prepare(visit_to(arm, 1), settings_of(arm))
        if damage == "no state":
            state.clear_state()
        elif damage == "torn state":
            state.FILE.write_text('{"visit": 2')
    lab.configure(visit_to(arm, 2), settings_of(arm))
    return proof_of(lab.observe(visit_to(arm, 2), "before"), arm)


def problem(case: str) -> str:
    """The sentence that a fault gives."""
    lab, arm = LabCluster(), "lab-nftables"
    visit, settings = visit_to(arm), settings_of(arm)
    try:
        if case == "observe before configure":
            lab.observe(visit, "before")
        elif case == "prepare before configure":
            lab.prepare(visit, settings)
        elif case == "burdened ebpf":
            lab.configure(visit_to("lab-ebpf+burden=5"), settings_of("lab-ebpf+burden=5"))
        else:
            lab.configure(visit, settings)
            _break(case, lab, visit, settings)
    except Problem as sentence:
        return str(sentence)
    return ""


def _break(case: str, lab: LabCluster, visit: Visit, settings: Settings) -> None:
    if case == "port taken":
        with within(addresses.SERVER_POD.name, lambda: socket.create_server(("", CANARY.port))):
            lab.prepare(visit, settings)
    elif case == "evidence port taken":
        with within(addresses.SERVER_POD.name, lambda: socket.create_server(("", services.EVIDENCE_PORT))):
            lab.observe(visit, "before")
    elif case == "no iperf3":
        without = Path("/run/without")
        without.mkdir()
        for program in ("nsenter", "sh", "sleep"):
            (without / program).symlink_to(str(shutil.which(program)))
        os.environ["PATH"] = str(without)
        servers._PATIENCE_S = 1.0  # type: ignore[misc]
        lab.prepare(visit, settings)
    elif case == "no umount":
        os.environ["PATH"] = "/nowhere"
        lab.restore()


def restarted() -> dict[str, object]:
    """Kill the server in the middle and wait for the next one."""
    lab, arm = LabCluster(), "lab-nftables"
    visit, settings = visit_to(arm, topologies=("pod-to-pod",)), settings_of(arm)
    lab.configure(visit, settings)
    placements = lab.prepare(visit, settings)
    pod = addresses.SERVER_POD.name
    first = _servers_in(pod)
    for process in first:
        os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        second = _servers_in(pod) - first
        if second and CANARY.port in servers.listening(pod):
            break
    rate = received_mbps(next(p for p in placements if p.topology == "pod-to-pod"))
    return {"first": len(first), "second": len(second), "rate": rate}


def _servers_in(namespace: str) -> set[int]:
    found = set()
    for process in processes([namespace]):
        try:
            if Path(f"/proc/{process}/comm").read_text().strip() == "iperf3":
                found.add(process)
        except OSError:
            continue
    return found


def offloads(on: bool) -> str:  # noqa: FBT001 - it comes from JSON
    """What ethtool says of the underlay."""
    settings = settings_of("lab-nftables").model_copy(update={"offloads": on})
    LabCluster().configure(visit_to("lab-nftables"), settings)
    return output_or_none(Job(addresses.NODE_A.name, ("ethtool", "-k", addresses.UNDERLAY))) or ""


def preflight(*arms: str) -> list[dict[str, object]]:
    """What stands in the way of these arms."""
    settings = settings_of(arms[0]).model_copy(update={"dataplanes": arms})
    return [finding.model_dump() for finding in LabCluster().preflight(settings)]


def preflight_without(program: str, refused: str) -> list[dict[str, object]]:
    """What stands in the way on a machine where this program refuses when it is asked for that."""
    stand_in = Path("/run/without", program)
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" = {refused} ] && echo "Operation not supported" >&2 && exit 2; done\n'
        f'exec {shutil.which(program)} "$@"\n'
    )
    stand_in.chmod(0o755)
    os.environ["PATH"] = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    found = preflight("lab-iptables", "lab-nftables", "lab-ebpf")
    assert not path("preflight").exists(), "what it tried with is gone"
    return found


def facts() -> dict[str, object]:
    """Where we are, and what is written down of it."""
    return {
        "inside": sandbox.is_inside(),
        "privileged": capabilities.is_privileged(),
        "provenance": LabCluster().provenance(settings_of("lab-nftables")),
        "snapshot": LabCluster().snapshot(),
        "left": topology.present_namespaces(),
        "host_processes": len(list(sandbox.HOST_PROC.glob("[0-9]*"))),
        "processes": len(list(Path("/proc").glob("[0-9]*"))),
    }


def mtus(arm: str, pod_bytes: int) -> object:
    """What is written down of the MTUs of a lab in which that of a pod was changed."""
    LabCluster().configure(visit_to(arm), settings_of(arm))
    run_one(Job(addresses.CLIENT_POD.name, ("ip", "link", "set", addresses.POD_INTERFACE, "mtu", str(pod_bytes))))
    return LabCluster().provenance(settings_of(arm))["mtu_bytes"]


def answers_to_datagrams(arm: str) -> dict[str, list[str]]:
    """For each server of each tool what comes back of datagrams from the port of another such server."""
    LabCluster().configure(visit_to(arm), settings_of(arm))
    started = servers.needed(TOPOLOGIES, SERVED)
    servers.start(started)
    found: dict[str, list[str]] = {}
    for server in started:
        sender = within(addresses.NODE_A.name, lambda: socket.socket(type=socket.SOCK_DGRAM))  # where none listens
        with sender:
            sender.settimeout(1)
            sender.bind(("", server.port))
            sender.connect((_address_of(server.namespace), server.port))
            answers = found.setdefault(f"{server.namespace}:{server.port}", [])
            for _ in range(3):
                sender.send(b"forged")
                try:
                    answers.append(repr(sender.recv(2048)))
                except ConnectionRefusedError:
                    answers.append("refused")
                except TimeoutError:
                    answers.append("silent")
                    break
    return found


def servers_in_a_hostile_folder(arm: str) -> dict[str, object]:
    """Start the servers from a folder that has a package of the project's name."""
    folder = Path("/run/without")
    (folder / "steps").mkdir(parents=True)
    (folder / "steps" / "__init__.py").write_text("open('/run/without/loaded', 'w').close()\n")
    LabCluster().configure(visit_to(arm), settings_of(arm))
    os.chdir(folder)
    LabCluster().prepare(visit_to(arm), settings_of(arm))
    return {"loaded": (folder / "loaded").exists(), "running": servers.are_running()}


def _address_of(namespace: str) -> str:
    found = {node.name: node.address for node in addresses.NODES}
    found |= {"outside": addresses.OUTSIDE_ADDRESS}
    return (found | {pod.name: pod.address for node in addresses.NODES for pod in node.pods})[namespace]


def stay(arm: str) -> None:
    """Build a lab with its servers, say so, and stay until standard input ends."""
    LabCluster().configure(visit_to(arm), settings_of(arm))
    LabCluster().prepare(visit_to(arm), settings_of(arm))
    sys.stdout.write("up\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    search_everywhere()
    sys.stdout.write(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))) + "\n")
