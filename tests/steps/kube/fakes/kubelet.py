"""What a scheduler, a kubelet and the API server do for the benchmark's own pods and Services, on the fake API."""

import itertools
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.steps.kube.fakes.api import NAMESPACE
from tests.steps.kube.fakes.calico import Calico

Object = dict[str, Any]


class Kubelet:
    """Acts after each write, before the rest of the cluster.

    `refuses` says of a pod why it never becomes ready; `says`, what is in its log. `admits` changes a pod as a mutating
    webhook does. `unplaced` says of a pod why the scheduler finds no node for it, beside that there is none of the name
    that it is pinned to.
    """

    def __init__(self, calico: Calico) -> None:
        self.store = calico.store
        self.refuses: Callable[[Object], str | None] = lambda _pod: None
        self.says: Callable[[Object], str | None] = lambda _pod: None
        self.admits: Callable[[Object], object] = lambda _pod: None
        self.unplaced: Callable[[Object], str | None] = lambda _pod: None
        self.address = "10.64.1.{}"
        self._addresses = itertools.count(10)
        self._node_ports = itertools.count(30100)
        others = calico._control

        def control() -> None:
            self.act()
            others()

        self.balances = True
        calico._control = control  # type: ignore[method-assign]
        self.store.after = control

    def act(self) -> None:
        for found in self.store.all("", "services", NAMESPACE):
            if "clusterIP" not in found["spec"]:
                self._admit(found)
        for found in self.store.all("", "pods", NAMESPACE):
            if "status" not in found:
                self._run(found)
            name = found["metadata"]["name"]
            if (line := self.says(found)) is not None:
                self.store.logs[NAMESPACE, name] = []
                self.store.say(NAMESPACE, name, line)

    def pods(self) -> dict[str, Object]:
        return {p["metadata"]["name"]: p for p in self.store.all("", "pods", NAMESPACE)}

    def services(self) -> dict[str, Object]:
        return {s["metadata"]["name"]: s for s in self.store.all("", "services", NAMESPACE)}

    def _admit(self, found: Object) -> None:
        found["spec"]["clusterIP"] = f"10.97.1.{next(self._addresses)}"
        by_number: dict[int, int] = {}
        for port in found["spec"]["ports"] if found["spec"]["type"] != "ClusterIP" else ():
            port["nodePort"] = by_number.setdefault(port["port"], 0) or next(self._node_ports)
            by_number[port["port"]] = port["nodePort"]
        if self.balances and found["spec"]["type"] == "LoadBalancer":
            found["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
        self.store.put("", "services", found)

    def _run(self, found: Object) -> None:
        self.admits(found)
        if (why := self._schedule(found)) is not None:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            found["status"] = {"phase": "Pending", "conditions": [condition]}
            self.store.put("", "pods", found)
            return
        reason = self.refuses(found)
        found["status"] = {"phase": "Running", "podIP": self.address.format(next(self._addresses))}
        if reason is None:
            found["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        else:
            waiting = {"waiting": {"reason": reason, "message": "it was not found"}}
            found["status"] |= {"phase": "Pending", "containerStatuses": [{"state": waiting}]}
        self.store.put("", "pods", found)

    def _schedule(self, found: Object) -> str | None:
        """Bind a pod to the node that it must run on; why that can't be, if it can't."""
        nodes = {node["metadata"]["name"] for node in self.store.all("", "nodes")}
        required = found["spec"].get("affinity", {}).get("nodeAffinity", {})
        terms = required.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
        names = [field["values"][0] for term in terms for field in term.get("matchFields", [])]
        if (why := self.unplaced(found)) is not None:
            return why
        if names and names[0] not in nodes:
            return (
                f"0/{len(nodes)} nodes are available: {len(nodes)} node(s) didn't match Pod's node affinity/selector."
            )
        found["spec"].setdefault("nodeName", names[0] if names else min(nodes))
        return None


def probe_report(
    pod: Object, now: datetime, *, bpf: bool, proxy_mode: str | None, failing: str = "", since: str = ""
) -> str | None:
    """The report of a probe pod now. `failing`: targets with this in their name don't answer.

    `since`: when the attempts began; when the pod was created if empty.
    """
    command = pod["spec"]["containers"][0].get("command") or []
    if "steps.cluster.kube.probe.node_probe" not in command:
        return None
    spec = json.loads(command[-1])
    at = now.isoformat()
    names = ["bpfin.cali", "bpfout.cali", "eth0"] if bpf else ["eth0"]
    host = {
        "at": at,
        "interfaces": names,
        "uplink": "eth0",
        "uplink_mtu_bytes": 9001,
        "tunnel_external": bpf,
        "proxy_mode": proxy_mode,
        "agent_ready": True,
        "agent_started_at": None,
    }
    answers = []
    for target in spec["targets"]:
        bad = bool(failing) and failing in target["name"]
        times = {"ok_at": None if bad else at, "failed_at": at if bad else None}
        error = "timed out" if bad else None
        answers.append(
            {
                "target": target["name"],
                "node": target["node"],
                "since": since or pod["metadata"]["creationTimestamp"],
                "error": error,
                **times,
            }
        )
    lines = [
        {"name": line["name"], "protocol": protocol, "connected": 1, "dropped": 0, "sent": 9, "received": 9}
        | {"silent_s": 0.1, "longest_gap_s": 0.4}
        for line in spec["lines"]
        for protocol in ("tcp", "udp")
    ]
    state = {"at": at, "node": spec["node"], "host": host if spec["host"] else None}
    return json.dumps({**state, "answers": answers, "lines": lines})
