"""Every write of a switch is dry-run before the first one."""

from collections.abc import Callable
from typing import Any

import pytest

from analysis.errors import Problem, Unsupported
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.permissions import V3_GROUP
from steps.cluster.kube.ownership.owner import LockOwner
from steps.cluster.kube.plugins.calico import preflight
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.switch import configure
from steps.settings.settings import choose_settings
from tests.steps.kube.fakes.answers import Request
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import ME, around, held, put_back, quiet, running, switch, unprepared

Make = Callable[[], Calico]
MAKES: dict[str, Make] = {
    "manifest": Calico,
    "manifest v3": lambda: Calico(group=V3_GROUP),
    "manifest 3.30": lambda: Calico(version="v3.30.2", felix={"nftablesMode": "Disabled"}),
    "operator": lambda: Calico("operator"),
    "old operator": lambda: Calico("operator", bootstraps=False),
}
DATAPLANES = ("nftables", "ebpf", "ebpf-dsr")


def refused(calico: Calico, dataplane: str, owner: LockOwner = ME) -> str:
    """What configure says; it must have written nothing."""
    client, transport = direct_client(calico.store)
    before = calico.settings()
    with pytest.raises(Problem) as caught:
        configure(around(calico, client, owner), dataplane, unprepared)
    assert not [r for r in calico.store.requests if r.verb in {"create", "patch", "delete"}]
    assert transport.writes == 0
    assert calico.settings() == before
    assert not held(calico)
    assert len(calico.kube_proxy_pods) == 2
    return str(caught.value)


def refusable(make: Make, dataplane: str) -> list[Request]:
    """The writes of a switch that its dry run makes too: all but those of the way back, of pods and of the lock."""
    calico = make()
    switch(calico, dataplane)
    return sorted(
        {
            request
            for request in calico.store.requests
            if request.verb in {"create", "patch"}
            and request.plural != "pods"
            and (request.plural, request.name) != ("configmaps", "dataplane-benchmark")
        },
        key=str,
    )


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("dataplane", DATAPLANES)
def test_dry_run_finds_each_refused_write_before_the_first(name: str, dataplane: str) -> None:
    writes = refusable(MAKES[name], dataplane)
    assert writes
    for write in writes:
        assert_found_before_the_first(MAKES[name](), dataplane, write)


def assert_found_before_the_first(calico: Calico, dataplane: str, write: Request) -> None:
    calico.store.denied = lambda request: request == write
    assert "forbidden" in refused(calico, dataplane), write
    calico.store.denied = lambda _request: False
    text = 'admission webhook "policy.example" denied the request: no changes on Fridays'
    calico.store.admission = lambda request, _body: text if request == write else None
    assert "no changes on Fridays" in refused(calico, dataplane), write
    calico.store.admission = lambda _request, _body: None
    switch(calico, dataplane)
    assert running(calico) == dataplane, f"and once it may, {write} goes through"


@pytest.mark.parametrize("dataplane", ["ebpf", "ebpf-dsr"])
def test_missing_felix_configuration_stops_before_kube_proxy_is_disabled(dataplane: str) -> None:
    calico = without_felix(Calico())
    sentence = refused(calico, dataplane)
    assert "FelixConfiguration default is missing" in sentence
    assert "rollout restart daemonset/calico-node" in sentence
    assert "during the switch" not in sentence


def without_felix(calico: Calico) -> Calico:
    felix = calico.felix
    calico._felix_settings = lambda: (False, None, None)  # type: ignore[method-assign]
    calico.store.take(calico.group, "felixconfigurations", "", "default")
    assert felix
    return calico


def test_switch_without_felix_configuration_is_restored() -> None:
    calico = without_felix(Calico())
    before = calico.settings()
    switch(calico, "nftables")
    assert running(calico) == "nftables"
    calico.store.put(
        calico.group, "felixconfigurations", {"metadata": {"name": "default"}, "spec": {"nftablesMode": "Auto"}}
    )  # calico-node has started meanwhile and made it
    put_back(calico)
    assert calico.felix["spec"] == {"nftablesMode": "Auto"}
    calico.store.take(calico.group, "felixconfigurations", "", "default")
    assert calico.settings() == before
    assert not held(calico)


def test_forbidden_lock_stops_before_any_change() -> None:
    calico = Calico()
    calico.store.admission = lambda request, _body: (
        'admission webhook "x" denied the request' if request.name == "dataplane-benchmark" else None
    )
    assert "denied the request" in refused(calico, "ebpf")


def test_dropped_field_stops_before_any_change() -> None:
    calico = Calico()
    keep = calico.store._note

    def prune(key: Any, found: Any, *, is_gone: bool = False) -> Any:  # noqa: ANN401 - the store's own types
        if key[1] == "felixconfigurations":
            found["spec"].pop("bpfEnabled", None)
        return keep(key, found, is_gone=is_gone)

    calico.store._note = prune  # type: ignore[method-assign]
    assert "FelixConfiguration default would not keep spec.bpfEnabled" in refused(calico, "ebpf")


def test_webhook_without_dry_run_support_does_not_stop_a_switch() -> None:
    calico = Calico()
    text = 'admission webhook "audit.example" does not support dry run'
    dry: list[bool] = []
    handle = calico.store.handle

    def asked(method: str, target: str, body: bytes = b"", content: str = "") -> Any:  # noqa: ANN401
        dry.append("dryRun=All" in target)
        calico.store.admission = lambda _request, _body: text if dry[-1] else None
        return handle(method, target, body, content)

    calico.store.handle = asked  # type: ignore[method-assign]
    switch(calico, "ebpf-dsr")
    assert any(dry)
    assert running(calico) == "ebpf-dsr"


def test_silent_tigera_operator_stops_before_any_change() -> None:
    calico = Calico("operator")
    calico.store.take("operator.tigera.io", "tigerastatuses", "", "calico")
    assert "there is no TigeraStatus calico" in refused(calico, "ebpf")


def test_unparsable_kube_proxy_configuration_stops_before_any_change() -> None:
    calico = Calico()
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["config.conf"] = "&all\nkind: KubeProxyConfiguration\nself: *all\n"
    assert "mode nftables can't be set in kube-proxy's configuration" in refused(calico, "nftables")
    switch(calico, "ebpf")
    assert running(calico) == "ebpf", "which asks for another mode of nothing"


def test_preflight_dry_runs_writes_and_skips_failing_dataplanes() -> None:
    calico = Calico()
    calico.store.admission = lambda request, _body: (
        'admission webhook "x" denied the request: felix is frozen' if request.plural == "felixconfigurations" else None
    )
    before = calico.settings()
    client, transport = direct_client(calico.store)
    who = KubernetesCluster("prod", client=client, variables={}, say=quiet)
    found = who.preflight(
        choose_settings(profile="smoke", dataplanes="iptables,nftables,ebpf,ebpf-dsr", environment="prod")
    )
    left_out = {each.subject for each in found if each.severity == "skip" and "felix is frozen" in each.reason}
    assert left_out == {"ebpf", "ebpf-dsr"}
    assert all(each.remedy for each in found if each.severity != "warn")
    assert transport.writes == 0
    assert calico.settings() == before


def test_preflight_of_a_cluster_without_a_felix_configuration() -> None:
    calico = without_felix(Calico())
    client, _transport = direct_client(calico.store)
    standing = read_state(client, to_switch=True)
    found = preflight.rehearsed(client, standing, ["iptables", "nftables", "ebpf", "as-is"], None)
    assert [(each.severity, each.subject) for each in found] == [("skip", "ebpf")]
    assert "is missing" in found[0].reason


@pytest.mark.parametrize("dataplane", ["iptables", *DATAPLANES])
def test_ipvs_mode_error_of_configure(dataplane: str) -> None:
    assert "IPVS" in refused(Calico(mode="ipvs"), dataplane, LockOwner(None, None, "ada@desk"))


def test_refused_write_is_impossible_and_not_retried() -> None:
    calico = without_felix(Calico())
    client, _transport = direct_client(calico.store)
    with pytest.raises(Unsupported):
        configure(around(calico, client), "ebpf", unprepared)
