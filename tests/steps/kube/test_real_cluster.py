"""A real cluster is switched through all dataplanes and left as it was. It is switched, so it must be named for it.

BENCHMARK_NAMESPACE names one for the benchmark's pods. With BENCHMARK_IMAGE, an image of the steps that its nodes have,
each dataplane is proven as well, and restore proves what ran before.
"""

import os
import time

import pytest

from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.api.connect import connect
from steps.cluster.kube.ownership import snapshot
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.domain import Visit
from steps.settings.environment import IMAGE
from steps.settings.settings import choose_settings

NAMED = os.environ.get("BENCHMARK_TEST_CLUSTER", "")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not NAMED,
        reason="no real cluster: set KUBECONFIG, and BENCHMARK_TEST_CLUSTER to the context of one that may be switched",
    ),
]


def objects() -> dict[str, object]:
    standing = read_state(connect(NAMED), to_switch=True)
    return {str(ref): snapshot.without_server_fields(found) for ref, found in standing.objects.items()}


def test_all_dataplanes_and_restore_on_a_real_cluster() -> None:
    before = objects()
    who = KubernetesCluster(NAMED, variables={**os.environ, IMAGE: os.environ.get(IMAGE, "")})
    settings = choose_settings(profile="smoke", dataplanes="ebpf,ebpf-dsr,nftables,iptables", environment=NAMED)
    findings = who.preflight(settings)
    left_out = {finding.subject for finding in findings if finding.severity == "skip"}
    assert not [f for f in findings if f.severity == "stop" and f.subject != "pods"], findings
    who.snapshot()
    try:
        for dataplane in (name for name in settings.dataplanes if name not in left_out):
            visit = Visit(visit=1, round=1, dataplane=dataplane, trials=())
            who.configure(visit, settings)
            assert read_state(connect(NAMED), to_switch=False).facts.dataplane == dataplane
            began = time.monotonic()
            assert who.configure(visit, settings) == [], "a second call changes nothing"
            assert time.monotonic() - began < 10
            if os.environ.get(IMAGE):
                settled = who.settle_for_user(dataplane)
                assert settled.proof.observed == dataplane
                assert {sign.node for sign in settled.signs} >= set(who.measured_nodes)
    finally:
        who.restore()
    assert objects() == before
    assert who.restore() == []
