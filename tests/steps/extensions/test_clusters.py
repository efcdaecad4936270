"""docs/extending.md is true for dataplanes of Calico and for network plugins."""

import os
import shutil
import subprocess
import sys

from tests.ordinary import ROOT
from tests.steps.extensions.copy import CHOSEN, Copy

CLUSTER = (
    CHOSEN
    + """
from analysis.errors import Problem
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.adapter import KubernetesCluster
from tests.steps.kube.fakes.api import direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import put_back, switch
from tests.steps.kube.calico.clusters import findings

NEW = "ebpf-udp"
answers = {"form": NEW in form, "chosen": chosen(environment="prod")[1]}

for install in ("manifest", "operator"):
    calico = Calico(install)
    before = calico.settings()
    found = {f.subject: f.reason for f in findings(calico, f"iptables,ebpf,{NEW}") if f.severity == "skip"}
    answers[install] = {"left_out": found}
    try:
        switch(calico, NEW)
        client, _ = direct_client(calico.store)
        answers[install]["set"] = calico.felix["spec"].get("bpfConnectTimeLoadBalancing")
        answers[install]["runs"] = read_state(client, to_switch=False).facts.dataplane
        switch(calico, "ebpf")
        answers[install]["beside"] = calico.felix["spec"].get("bpfConnectTimeLoadBalancing")
        put_back(calico)
    except Problem as problem:
        answers[install]["refused"] = str(problem)
    answers[install]["as_before"] = calico.settings() == before
"""
)

PROOF = """
from steps.proof.evaluate import evaluate
from tests.steps.kube.bench import MEASURED
from tests.steps.kube.calico.switched import EBPF, Cluster
from tests.steps.kube.recordings import switch as recorded
from steps.cluster.kube.plugins.calico.felix.process import LogPosition
from steps.cluster.kube.plugins.calico.proof.signs import Observation, node_signs

cluster = Cluster(recorded(EBPF))
seen = cluster.observe("ebpf")
answers["neighbour"] = evaluate(seen, "ebpf", MEASURED).state
answers["not it"] = evaluate(seen, NEW, MEASURED).state
for lines in cluster.store.logs.values():
    lines[:] = [(at, text.replace("balancer enabled: TCP", "balancer enabled: Enabled")) for at, text in lines]
seen = cluster.observe(NEW)
answers["it"] = evaluate(seen, NEW, MEASURED).state
answers["not the neighbour"] = evaluate(seen, "ebpf", MEASURED).state
"""
PRINT = "print(json.dumps(answers))\n"


def test_dataplane_of_calico_is_one_entry_and_one_module(copied: Copy) -> None:
    copied.follow("A dataplane of Calico")
    answers = copied.run(CLUSTER + PROOF + PRINT)
    assert answers["form"]
    assert "ebpf-udp" in answers["chosen"]
    for install in ("manifest", "operator"):
        assert answers[install] == {
            "left_out": {},
            "set": "Enabled",
            "runs": "ebpf-udp",
            "beside": "TCP",  # as it was recorded
            "as_before": True,
        }
    assert (answers["neighbour"], answers["it"]) == ("proven", "proven")
    assert (answers["not it"], answers["not the neighbour"]) == ("disproven", "disproven")


def test_dataplane_of_calico_without_a_module_is_refused_and_nothing_is_patched(copied: Copy) -> None:
    copied.follow("A dataplane of Calico", files=False)
    answers = copied.run(CLUSTER + PRINT)
    for install in ("manifest", "operator"):
        found = answers[install]
        assert set(found["left_out"]) == {"ebpf-udp"}
        assert "there is no steps/cluster/kube/plugins/calico/dataplanes/ebpf_udp.py" in found["left_out"]["ebpf-udp"]
        assert found["refused"]
        assert found["as_before"]


def test_two_dataplanes_of_calico_that_no_sign_tells_apart_are_refused_by_both_names(copied: Copy) -> None:
    copied.follow("A dataplane of Calico")
    module = copied.root / "steps/cluster/kube/plugins/calico/dataplanes/ebpf_udp.py"
    module.write_text(module.read_text().replace(", shows=_shows", ""))
    answers = copied.run(CLUSTER + PRINT)
    for install in ("manifest", "operator"):
        found = answers[install]["left_out"]
        assert "ebpf-udp and ebpf have the same traits" in found["ebpf-udp"]
        assert "ebpf and ebpf-udp have the same traits" in found["ebpf"]
        assert "iptables" not in found


PLUGIN = '''"""A network plugin that the tests make up, which shares nothing with Calico's."""

from dataclasses import dataclass

from steps.cluster.kube.api.nodes import ClusterNode, choose_nodes, read_node
from steps.cluster.kube.api.permissions import CLUSTER, NODES
from steps.cluster.kube.probe.agent import Agent
from steps.domain import Change, Finding


@dataclass(frozen=True)
class State:
    nodes: tuple[ClusterNode, ...]
    dataplane: str | None = "toy"

    def outside_findings(self, outside, entry, settings):
        return ()


class Toy:
    """One that is switched by saying so."""

    def __init__(self, surroundings):
        self._around = surroundings

    @staticmethod
    def runs(client):
        return True

    @staticmethod
    def written_fields():
        return ()

    @staticmethod
    def agents():
        return {"kube-system": "toy"}

    @staticmethod
    def agent():
        return Agent()

    def stand(self, *, to_switch):
        found = self._around.client.list(NODES, CLUSTER)
        names = [node["metadata"]["name"] for node in found]
        return State(tuple(read_node(node, names) for node in found))

    def findings(self, standing, settings, accepted):
        return [Finding(severity="skip", subject=name, reason=f"{name} is none of Toy's.", remedy="Leave it out.")
                for name in settings.dataplanes if name != "toy"]

    def rehearsed(self, standing, asked, original):
        return []

    def provenance(self, standing, measured):
        return {"cni": "toy"}

    def configure(self, dataplane, before, visit=None):
        standing = self.stand(to_switch=True)
        before(standing, choose_nodes(standing.nodes, self._around.asked_nodes))
        return [Change(what=f"Toy runs {dataplane}", command="toy")]
'''


def test_network_plugin_is_one_folder_and_one_line(copied: Copy) -> None:
    folder = copied.root / "steps/cluster/kube/plugins/toy"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Toy."""\n')
    (folder / "plugin.py").write_text(PLUGIN)
    cnis = copied.root / "steps/cluster/kube/cnis.py"
    text = cnis.read_text().replace("(Calico,)", "(Calico, Toy)")
    cnis.write_text(
        text.replace("from typing", "from steps.cluster.kube.plugins.toy.plugin import Toy\nfrom typing", 1)
    )
    shutil.copy(ROOT / "pyproject.toml", copied.root)
    copied.insert(
        "steps/catalogue/dataplanes.py",
        "DATAPLANES: Final = (\n",
        '    Dataplane("toy", "Toy", "#56B4E9", KUBERNETES, "toy", "toy"),\n',
    )
    program = CLUSTER.partition("for install")[0] + (
        "calico = Calico()\n"
        "client, _ = direct_client(calico.store)\n"
        "quiet = {'say': lambda _: None, 'sleep': calico.store.advance}\n"
        "who = KubernetesCluster('prod', client=client, variables={}, gate_s=0, **quiet)\n"
        "settings = choose_settings(dataplanes='toy,iptables', environment='prod', seed_source=lambda: 1)\n"
        "answers['left_out'] = {f.subject: f.reason for f in who.preflight(settings) if f.severity == 'skip'}\n"
        "answers['changes'] = [change.what for change in who.configure_for_user('toy')]\n"
        "answers['provenance'] = who.provenance(settings)\n"
        "calicos = {f.subject: f.reason for f in findings(calico, 'toy,iptables') if f.severity == 'skip'}\n"
        "answers['calicos'] = calicos\n"
    )
    answers = copied.run(program + PRINT)
    assert answers["changes"] == ["Toy runs toy"]
    assert answers["provenance"] == {"cni": "toy"}
    assert answers["left_out"]["iptables"] == "iptables is none of Toy's."
    assert "toy" not in answers["left_out"]
    assert answers["calicos"] == {"toy": "toy is no dataplane of Calico, which runs on this cluster."}
    assert _broken(copied) == []
    with (folder / "plugin.py").open("a") as file:
        file.write("\n\nfrom steps.cluster.kube.plugins.calico.plugin import Calico\n")
    assert len(_broken(copied)) == 1, "a plugin may not build on another"


def _broken(copied: Copy) -> list[str]:
    """The contracts of imports that the copy breaks."""
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = os.environ | {"PYTHONPATH": str(copied.root), "COLUMNS": "300"}
    found = subprocess.run(
        [*lint, "--no-cache"], cwd=copied.root, env=environment, text=True, capture_output=True, check=False
    )
    return [line for line in found.stdout.splitlines() if line.endswith(" BROKEN")]
