from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.cluster.kube.plugins.calico.felix.log import FelixLog
from steps.cluster.kube.plugins.calico.felix.process import FelixProcess, LoggedValue, LogPosition
from steps.cluster.kube.plugins.calico.proof.signs import KNOWN, Observation, node_signs
from steps.cluster.kube.probe.report import HostProbe, ServiceProbe
from steps.proof import evaluate
from tests.steps.kube.recordings import moment

NOW = moment("2026-11-23T08:00:00Z")
RULES = ("iptables", "nftables")
BPF = ("ebpf", "ebpf-dsr")


def of_host(**seen: Any) -> dict[str, tuple[str, ...] | None]:  # noqa: ANN401
    found = node_signs(Observation("n", host=HostProbe(at=NOW, **seen)), "before", NOW)
    return {sign.looked_at: sign.indicates for sign in found}


def of_felix(**fields: Any) -> dict[str, tuple[str, ...] | None]:  # noqa: ANN401
    process = FelixProcess(7, NOW, NOW, NOW, **fields)
    found = node_signs(Observation("n", felix=FelixLog((process,))), "after", NOW)
    return {sign.seen: sign.indicates for sign in found}


def test_probe_signs_name_the_dataplanes_they_agree_with() -> None:
    assert of_host(interfaces=frozenset({"eth0", "bpfin.cali"}))["interfaces"] == BPF
    assert of_host(interfaces=frozenset({"eth0"}))["interfaces"] == RULES
    assert of_host(tunnel_external=True)["vxlan.calico"] == BPF
    assert of_host(tunnel_external=False)["vxlan.calico"] == RULES
    assert of_host(proxy_mode="iptables")["kube-proxy's mode"] == ("iptables", *BPF)
    assert of_host(proxy_mode="nftables")["kube-proxy's mode"] == ("nftables", *BPF)
    assert of_host(proxy_mode="ipvs")["kube-proxy's mode"] == ()
    followed = Observation("n", host=HostProbe(at=NOW, proxy_mode="nftables"), follows_proxy=False)
    assert [sign.indicates for sign in node_signs(followed, "before", NOW)] == [None], "Felix goes its own way"
    followed = Observation("n", host=HostProbe(at=NOW, proxy_mode="ipvs"), follows_proxy=False)
    assert [sign.indicates for sign in node_signs(followed, "before", NOW)] == [()]
    assert of_host(agent_ready=True)["Felix's readiness"] is None


def test_missing_observation_is_no_sign() -> None:
    assert of_host() == {}
    assert node_signs(Observation("n"), "before", NOW) == []


def test_felix_bpf_sign_agrees_with_bpf_only() -> None:
    fields = of_felix(
        bpf=[LogPosition(NOW, "BPF enabled, starting")], driver_bpf=LogPosition(NOW, "true"), driver_dsr=True
    )
    assert fields["BPF enabled, starting"] == BPF
    assert fields["made its driver with BPF on"] == BPF
    assert fields["made its driver with direct server return on"] == ("ebpf-dsr",)
    fields = of_felix(attached_dsr=False)
    assert fields["attached its programs with direct server return off"] == ("ebpf",)
    assert of_felix(components={"BPFEndpointManager"})["its health has a row BPFEndpointManager"] == BPF


def test_configuration_setting_is_no_sign() -> None:
    value = LoggedValue("true", "datastore (global)", NOW)
    assert set(of_felix(values={"BPFEnabled": value, "BPFExternalServiceMode": value}).values()) == {None}


def test_bpf_fallback_sign_agrees_with_rules_dataplanes() -> None:
    fields = of_felix(
        fallback=LogPosition(NOW, "not supported"), driver_bpf=LogPosition(NOW, "false"), driver_dsr=False
    )
    assert fields["not supported"] == RULES
    assert not any(indicates and "direct server return" in seen for seen, indicates in fields.items())


def test_health_table_without_bpf_is_a_weak_sign() -> None:
    missing = "its health has no row BPFEndpointManager"
    assert of_felix(tables=1, use_nftables=False)[missing] == RULES
    assert missing not in of_felix(tables=1, use_nftables=False, bpf=[LogPosition(NOW, "BPF enabled, starting")])


def test_connectivity_signs_are_neutral() -> None:
    ok = ServiceProbe("n", "ClusterIP", ok_at=NOW)
    late = ServiceProbe("n", "NodePort", ok_at=NOW - timedelta(seconds=1), failed_at=NOW)
    found = node_signs(Observation("n", answers=(ok, late), missed=("no log",)), "before", NOW)
    assert [(s.looked_at, s.seen, s.indicates) for s in found] == [
        ("ClusterIP", "answered", None),
        ("look", "no log", None),
    ]


@pytest.mark.parametrize("dataplane", KNOWN)
@given(data=st.data())
def test_partial_node_signs_never_prove_another_dataplane(dataplane: str, data: st.DataObject) -> None:
    bpf, dsr = dataplane in BPF, dataplane == "ebpf-dsr"

    def maybe(value: object) -> Any:  # noqa: ANN401
        return value if data.draw(st.booleans()) else None

    process = FelixProcess(7, NOW, NOW, NOW)
    process.driver_bpf = maybe(LogPosition(NOW, "true" if bpf else "false"))
    process.driver_dsr = maybe(dsr)
    process.attached_dsr = maybe(dsr) if bpf else None
    process.bpf = [LogPosition(NOW, "BPF enabled, starting")] if bpf and data.draw(st.booleans()) else []
    process.use_nftables = maybe(dataplane == "nftables")
    process.tables = data.draw(st.integers(0, 2)) if not bpf else 0
    process.components = {"BPFEndpointManager"} if bpf and data.draw(st.booleans()) else set()
    names = frozenset({"eth0", "bpfin.cali", "bpfout.cali"} if bpf else {"eth0"})
    mode = maybe(dataplane) if not bpf else None
    host = HostProbe(NOW, maybe(names), maybe(bpf), mode)
    found = node_signs(Observation("n", FelixLog((process,)), host), "before", NOW)
    for other in KNOWN:
        state = evaluate.evaluate(found, other, ["n"]).state
        assert state in ({"proven", "unproven"} if other == dataplane else {"disproven", "unproven"})
