"""Switch and restore a fake cluster, killed at a call where a test wants that."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import CALICO_GROUPS
from steps.cluster.kube.cni import Surroundings
from steps.cluster.kube.ownership import takeover
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.plugins.calico import restore
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.switch import configure
from steps.domain import Change
from tests.steps.kube.fakes.api import NAMESPACE, direct_client
from tests.steps.kube.fakes.calico import Calico

ME = LockOwner("run-1", NAMESPACE, None)


DATAPLANES = ("iptables", "nftables", "ebpf", "ebpf-dsr", "as-is")


def quiet(_sentence: str) -> None:
    """Say nothing."""


def around(
    calico: Calico,
    client: Client,
    owner: LockOwner = ME,
    say: Callable[[str], None] = quiet,
    variables: Mapping[str, str] | None = None,
) -> Surroundings:
    return Surroundings(client, owner, "", variables or {}, say, calico.store.advance)


def unprepared(_standing: object, _measured: tuple[str, ...]) -> None:
    """Prepare nothing for a switch."""


def switch(
    calico: Calico, dataplane: str, owner: LockOwner = ME, kill_at: int | None = None, *, late: bool = False
) -> list[Change]:
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = kill_at, late
    return configure(around(calico, client, owner), dataplane, unprepared)


def put_back(
    calico: Calico,
    owner: LockOwner = ME,
    *,
    insist: bool = False,
    kill_at: int | None = None,
    late: bool = False,
    prove: Callable[[], None] = lambda: None,
) -> list[Change]:
    client, transport = direct_client(calico.store)
    transport.kill_at, transport.kill_after_write = kill_at, late
    if not takeover.may_restore(client, owner, quiet, insist=insist):
        return []
    return restore.restore(around(calico, client, owner), prove)


def running(calico: Calico) -> str | None:
    client, _transport = direct_client(calico.store)
    return read_state(client, to_switch=False).facts.dataplane


def held(calico: Calico) -> bool:
    return calico.store.find("", "configmaps", "kube-system", "dataplane-benchmark") is not None


def lock_data(calico: Calico) -> dict[str, Any]:
    name = "configmaps kube-system/dataplane-benchmark"
    return {name: calico.settings()[name]}


CLUSTERS = st.builds(
    Calico,
    install=st.sampled_from(["manifest", "operator"]),
    group=st.sampled_from(sorted(CALICO_GROUPS)),
    bootstraps=st.booleans(),
    felix=st.fixed_dictionaries(
        {},
        optional={
            "bpfExternalServiceMode": st.sampled_from(["Tunnel", "DSR", None]),
            "nftablesMode": st.sampled_from(["Auto", "Enabled", "Disabled", None]),
            "bpfEnabled": st.sampled_from([False, None]),
            "logSeverityScreen": st.sampled_from(["Info", "Debug"]),
        },
    ),
    mode=st.sampled_from(["", "iptables", "nftables"]),
    version=st.sampled_from(["v3.28.5", "v3.30.2", "v3.32.1"]),
)
