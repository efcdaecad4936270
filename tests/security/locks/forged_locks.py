"""Forge the lock of a fake cluster, and compare what a restore changed with what a switch may change."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from steps.cluster.kube.api.permissions import KUBE_SYSTEM, STATE
from steps.cluster.kube.config import text
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.objects import SWITCHED
from steps.cluster.kube.plugins.calico.switching.fields import DIGEST
from tests.steps.kube.fakes.calico import Calico

Object = dict[str, Any]
Contents = dict[tuple[str, ...], Object]
Path = tuple[str, ...]

ENDPOINT = "kubernetes-services-endpoint"
# what the API server and a DaemonSet's controller write
IGNORED = {
    *("status", "resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"),
    "controller-revision-hash",
}
NETWORK = ("spec", "calicoNetwork")
PERMITTED: dict[tuple[str, str], set[Path]] = {
    ("felixconfigurations", "default"): {
        *(("spec", name) for name in SWITCHED),
        # the operator's own, which says what it last wrote to bpfEnabled
        ("metadata", "annotations", "operator.tigera.io/bpfEnabled"),
    },
    ("installations", "default"): {
        (*NETWORK, name) for name in ("linuxDataplane", "bpfNetworkBootstrap", "kubeProxyManagement")
    },
    ("daemonsets", "kube-proxy"): {
        kube_proxy.PARKING_PATH,
        # the operator's own, when it manages kube-proxy
        (*kube_proxy.PARKING_PATH[:-1], "operator.tigera.io/disable-kube-proxy"),
    },
}


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in IGNORED:
                yield from leaves(inner, (*path, str(key)))
    else:
        yield path, value


def contents(calico: Calico) -> Contents:
    """Every object but the lock and kube-proxy's pods, which its controller replaces."""
    found: Contents = {
        key: copy.deepcopy(each)
        for key, each in calico.store.objects.items()
        if key[3] != STATE and not (key[1] == "pods" and key[3].startswith("kube-proxy-"))
    }
    annotations = found["", "configmaps", KUBE_SYSTEM, "kube-proxy"]["metadata"].pop("annotations", {})
    assert set(annotations) <= {DIGEST.path[-1]}
    return found


def without_mode(configuration: str) -> str:
    return text.put(configuration, "KubeProxyConfiguration", "mode", "x")


def assert_only_permitted_changes(before: Contents, after: Contents) -> None:
    for key in before.keys() ^ after.keys():
        assert key[3] == ENDPOINT, f"{key} was created or deleted"
        assert key in before, f"{key} was created"
        labels = before[key]["metadata"].get("labels") or {}
        assert labels.get("app.kubernetes.io/managed-by") == "dataplane-benchmark", f"{key} of others was deleted"
    for key in before.keys() & after.keys():
        old, new = dict(leaves(before[key])), dict(leaves(after[key]))
        changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
        if key[1:] == ("configmaps", "kube-system", "kube-proxy") and changed:
            assert changed == {("data", "config.conf")}
            assert kube_proxy.mode(str(new["data", "config.conf"])) in {"iptables", "nftables", "ipvs"}
            assert without_mode(str(new["data", "config.conf"])) == without_mode(str(old["data", "config.conf"]))
            continue
        permitted = PERMITTED.get((key[1], key[3]), set())
        unexpected = {path for path in changed if not any(path[: len(each)] == each for each in permitted)}
        assert {path[:-1] for path in permitted} >= unexpected, f"{key}: {unexpected}"


def assert_services_work(calico: Calico) -> None:
    felix, installation = calico.felix["spec"], None
    if calico.install == "operator":
        installation = calico.store.find("operator.tigera.io", "installations", "", "default")
    ebpf = (
        felix.get("bpfEnabled")
        or (installation or {}).get("spec", {}).get("calicoNetwork", {}).get("linuxDataplane") == "BPF"
    )
    assert ebpf or len(calico.kube_proxy_pods) == 2, "neither eBPF nor kube-proxy serves Services"


def lock_object(calico: Calico) -> Object:
    found = calico.store.find("", "configmaps", KUBE_SYSTEM, STATE)
    assert found is not None
    return found


def forge(calico: Calico, change: Callable[[Object], None]) -> None:
    """Change the snapshot in the lock as somebody else."""
    found = lock_object(calico)
    snapshot = json.loads(found["data"]["snapshot"])
    change(snapshot)
    found["data"]["snapshot"] = json.dumps(snapshot)


def entry(snapshot: Object, kind: str) -> Object:
    found: Object = next(each for each in snapshot["objects"] if each["ref"]["kind"] == kind)
    return found
