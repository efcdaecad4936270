"""A visit to a dataplane of the lab, as `scripts.py` makes it: its settings, its plan, its proof and its traffic."""

import json
import subprocess
import time

from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.catalogue.tools import CANARY
from steps.catalogue.topologies import TOPOLOGIES
from steps.cluster.lab.adapter import LabCluster
from steps.domain import Placement, Sign, Visit
from steps.namespaces import command_in
from steps.proof.evaluate import evaluate
from tests.steps.builders import trial


def settings_of(arm: str, count: int = 20) -> Settings:
    return Settings(
        profile="smoke",
        environment="lab",
        dataplanes=(arm,),
        cells=(),
        rounds=1,
        duration_s=1,
        repetitions=1,
        idle_s=0.1,
        scales=(Scale(services=count),),
        seed=1,
        results="results",
    )


def visit_to(arm: str, number: int = 1, topologies: tuple[str, ...] | None = None) -> Visit:
    chosen = [t.name for t in TOPOLOGIES] if topologies is None else topologies
    trials = tuple(trial(trial=i, visit=number, position=i, topology=name) for i, name in enumerate(chosen, 1))
    return Visit(visit=number, round=1, dataplane=arm, trials=trials)


def proof_of(signs: list[Sign], asked: str) -> dict[str, object]:
    return evaluate(signs, asked, LabCluster().measured_nodes).model_dump()


def received_mbps(placement: Placement, *more: str) -> float:
    """Mbit/s that were received. A server that ended after its last client is waited for, as it is started again."""
    argv = ["iperf3", "-c", placement.address, "-p", str(placement.ports["iperf3"]), "-J", "-n", "4M", *more]
    patience = time.monotonic() + 20
    while True:
        done = subprocess.run(command_in(placement.namespace, argv), capture_output=True, timeout=600, check=False)
        waits = CANARY.is_busy(done.stdout) or b"Connection refused" in done.stdout
        if not waits or time.monotonic() > patience:
            break
    answer = json.loads(done.stdout)
    assert "error" not in answer, f"{placement.topology} {more}: {answer['error']}"
    received = answer["end"].get("sum_received") or answer["end"]["sum"]
    return float(received["bits_per_second"]) / 1e6
