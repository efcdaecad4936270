"""Whatever value a switch finds, a restore puts back exactly; a value that it would not is refused first."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import Problem, Unsupported
from tests.security.locks.forged_locks import entry, forge
from tests.steps.kube.calico.clusters import ALL, findings
from tests.steps.kube.fakes.calico import CONFIG, Calico
from tests.steps.kube.switching import DATAPLANES, held, put_back, running, switch

Install = Literal["manifest", "operator"]


def in_any_case(*words: str) -> st.SearchStrategy[str]:
    """The words with each letter in upper or lower case."""
    written = (st.tuples(*(st.sampled_from((c.lower(), c.upper())) for c in word)) for word in words)
    return st.one_of(*written).map("".join)


FELIX = st.fixed_dictionaries(
    {},
    optional={
        "bpfExternalServiceMode": st.one_of(in_any_case("tunnel", "dsr", ""), st.sampled_from(["tunel", "x", 1, None])),
        "nftablesMode": st.one_of(in_any_case("auto", "enabled", "disabled"), st.sampled_from(["", "on", None])),
        "bpfEnabled": st.sampled_from([True, False, None]),
    },
)
PARKINGS = st.one_of(st.none(), st.from_regex(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,8}[A-Za-z0-9])?)?", fullmatch=True))
MODES = st.sampled_from(["", "iptables", "nftables", "userspace"])


def cluster(install: Install, felix: dict[str, Any], parking: str | None, mode: str = "") -> Calico:
    """A cluster, whose kube-proxy may be kept off by a label, which eBPF makes up for."""
    felix = felix if parking is None else {**felix, "bpfEnabled": True}
    calico = Calico(install, bootstraps=False, felix=felix, mode=mode)
    if felix.get("bpfEnabled") and install == "operator":
        found = calico.store.find("operator.tigera.io", "installations", "", "default")
        assert found is not None
        found["spec"]["calicoNetwork"]["linuxDataplane"] = "BPF"
    if parking is not None:
        calico.kube_proxy["spec"]["template"]["spec"]["nodeSelector"]["non-calico"] = parking
    calico.store.advance(60)
    return calico


@settings(max_examples=60)
@given(
    install=st.sampled_from(["manifest", "operator"]),
    felix=FELIX,
    parking=PARKINGS,
    mode=MODES,
    visits=st.lists(st.sampled_from(DATAPLANES), min_size=1, max_size=3),
)
def test_what_a_switch_takes_is_put_back_exactly(
    install: Install, felix: dict[str, Any], parking: str | None, mode: str, visits: list[str]
) -> None:
    calico = cluster(install, felix, parking, mode)
    before = calico.settings()
    for dataplane in visits:
        try:
            switch(calico, dataplane)
        except Unsupported:
            break
        assert dataplane in {running(calico), "as-is"}
    put_back(calico)
    assert calico.settings() == before


@pytest.mark.parametrize("install", ["manifest", "operator"])
@pytest.mark.parametrize("value", ["", "dsr", "Dsr", "TUNNEL", "tunnel"])
def test_service_mode_in_any_case_is_known_and_put_back(install: Install, value: str) -> None:
    calico = cluster(install, {"bpfExternalServiceMode": value}, None)
    before = calico.settings()
    assert not [found for found in findings(calico, ALL) if found.severity == "skip"]
    written = [change.what for change in switch(calico, "ebpf-dsr")]
    assert any("bpfExternalServiceMode" in what for what in written) == (value.lower() != "dsr")
    assert running(calico) == "ebpf-dsr"
    switch(calico, "ebpf")
    assert running(calico) == "ebpf"
    put_back(calico)
    assert calico.settings() == before


def test_nftables_mode_in_any_case_is_left_as_it_is() -> None:
    calico = Calico(felix={"nftablesMode": "auto"})
    assert not any("nftablesMode" in change.what for change in switch(calico, "nftables"))
    assert calico.felix["spec"]["nftablesMode"] == "auto"


@pytest.mark.parametrize("value", ["", "true", "off"])
def test_kube_proxy_parked_by_any_value_comes_back_and_is_parked_so_again(value: str) -> None:
    calico = cluster("manifest", {}, value)
    before = calico.settings()
    assert not [found for found in findings(calico, ALL) if found.severity == "skip"]
    switch(calico, "ebpf-dsr")
    switch(calico, "iptables")
    assert len(calico.kube_proxy_pods) == 2
    put_back(calico)
    assert calico.settings() == before
    assert calico.kube_proxy_pods == []


def unknown_service_mode(calico: Calico) -> None:
    calico.felix["spec"]["bpfExternalServiceMode"] = "tunel"


def unknown_mode_of_kube_proxy(calico: Calico) -> None:
    found = calico.store.find("", "configmaps", "kube-system", "kube-proxy")
    assert found is not None
    found["data"]["config.conf"] = CONFIG.replace('mode: ""', "mode: userspace")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (unknown_service_mode, 'FelixConfiguration default spec.bpfExternalServiceMode is "tunel"'),
        (unknown_mode_of_kube_proxy, "ConfigMap kube-system/kube-proxy data.config.conf sets no mode"),
    ],
)
def test_unknown_value_is_refused_by_its_field_before_anything_is_written(harm: Any, words: str) -> None:  # noqa: ANN401
    calico = Calico()
    harm(calico)
    before = calico.settings()
    found = [each for each in findings(calico, ALL) if words in each.reason]
    assert {(each.severity, each.subject) for each in found} == {("skip", name) for name in ALL.split(",")}
    assert not [each for each in findings(calico, "as-is") if words in each.reason]
    for dataplane in ALL.split(","):
        with pytest.raises(Unsupported) as caught:
            switch(calico, dataplane)
        assert words in str(caught.value)
        assert not held(calico)
    assert calico.settings() == before


def test_empty_text_is_seen_in_a_refusal() -> None:
    calico = Calico()
    switch(calico, "ebpf")
    forge(calico, lambda snapshot: entry(snapshot, "FelixConfiguration")["object"]["spec"].update(nftablesMode=""))
    with pytest.raises(Problem, match=r'spec\.nftablesMode to "", which no switch could have found'):
        put_back(calico)
