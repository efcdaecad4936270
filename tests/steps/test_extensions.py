"""docs/extending.md is true: what it says is written into a copy of the project, and does what it promises."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ordinary import ROOT
from tests.steps.lab.conftest import ENTER

GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_ENTRY = re.compile(r"^In `(\S+)`, among `(\w+)`:\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_IMPORT = re.compile(r"^That file imports it: `(.+?)`", re.MULTILINE)
_FILE = re.compile(r"^New, `(\S+)`:\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


class Copy:
    """The project, in a folder of its own. Subprocesses import from there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("analysis", "steps", "workflows", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))

    def follow(self, heading: str, *, files: bool = True) -> None:
        """Do what a section of the guide says. `files`: else its entries alone."""
        section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        entries, written = _ENTRY.findall(section), _FILE.findall(section)
        assert entries or written, heading
        for path, catalogue, text in entries:
            self.insert(path, f"{catalogue}: Final = (\n", text)
            for line in _IMPORT.findall(section):
                self.insert(path, "from typing import Final\n", f"\n{line}\n")
        for path, text in written if files else ():
            (self.root / path).write_text(re.sub(r"^ {4}", "", text, flags=re.MULTILINE), encoding="utf-8")

    def insert(self, path: str, after: str, text: str) -> None:
        """Put a text into a file."""
        held = (self.root / path).read_text(encoding="utf-8")
        assert held.count(after) == 1, path
        (self.root / path).write_text(held.replace(after, after + text), encoding="utf-8")

    def run(self, program: str, prefix: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - JSON
        """What a program prints last, as JSON."""
        argv = [*prefix, sys.executable, "-c", program]
        env = os.environ | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(argv, cwd=self.root, env=env, text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def copied(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


CHOSEN = """
import json
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings
from workflows.template.form import FORM
from workflows.flags.run import RunFlags

def chosen(**words):
    settings = choose_settings(seed_source=lambda: 1, **words)
    return [trial.topology for visit in make_schedule(settings) for trial in visit.trials], settings.dataplanes
form = " ".join(parameter.description for parameter in FORM)
"""


def test_a_topology_is_one_entry(copied: Copy) -> None:
    copied.follow("A topology")
    trials, shown, lab, kube = copied.run(
        CHOSEN
        + """
from steps.catalogue.topologies import BY_NAME
from steps.cluster.lab import servers
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube import trial_servers
new = BY_NAME["node-to-service"]
places = [probe_pods.Site("a", "10.0.0.1"), probe_pods.Site("b", "10.0.0.2")]
print(json.dumps([
    chosen(topologies="node-to-service")[0], "node-to-service" in form,
    [server.namespace for server in servers.needed([new])],
    [pod["metadata"]["name"] for pod in trial_servers.manifests([new], places, "image:1")],
]))
"""
    )
    assert set(trials) == {"node-to-service"}
    assert shown
    assert {"node-b", "pod-b"} == set(lab)
    assert {"server-host", "server"} <= set(kube)


TOOL = """
import json, subprocess, tempfile
from pathlib import Path
from analysis import report
from analysis.sql.database import connect
from analysis.store.store import Store
from analysis.summary.summary import summarise
from steps.collect import run_rows
from steps.measurement import trials as measure
from steps.settings import schedule
from steps import documents as raw
from steps.catalogue import options
from steps.catalogue.tools import BY_NAME, served
from steps.catalogue.topologies import BY_NAME as TOPOLOGIES
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube import trial_servers
from steps.cluster.lab import servers, services
from steps.tools.tool import here
from tests.steps.builders import placement, settings, write_run
from tests.steps.test_measure import free_port, until

tools, path = served(["echo"]), [TOPOLOGIES["pod-to-pod"]]
places = [probe_pods.Site("a", "10.0.0.1"), probe_pods.Site("b", "10.0.0.2")]
kube = {pod["metadata"]["name"]: pod for pod in trial_servers.manifests(path, places, "image:1", tools)}["server"]
answers = {
    "lab": [server.argv[1:] for server in servers.needed(path, tools) if server.namespace == "pod-b"],
    "lab service": [port.name for port in services.MEASURED],
    "pod": [container["name"] for container in kube["spec"]["containers"]],
    "service": [port["name"] for port in trial_servers.service(tools)["spec"]["ports"]],
    "option": options.BY_NAME["protocols"].choices,
}
chosen = settings(topologies="pod-to-pod", options="protocols=echo,tcp rounds=2")
port, documents = free_port(), Path(tempfile.mkdtemp())
answers["plan"] = sorted({(t.tool, t.streams) for visit in write_run(documents, chosen) for t in visit.trials})
server = subprocess.Popen(here(BY_NAME["echo"].server(port)))
until(lambda: f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text())
said = []
for visit in schedule.make_schedule(chosen):
    trials = [trial for trial in visit.trials if trial.tool == "echo"]
    folder = documents / raw.visit_directory(visit.visit) / "pod-to-pod"
    place = placement(topology="pod-to-pod", ports={"echo": port})
    measure.measure_trials(place, trials, chosen, folder, said.append, lambda *_: None)
server.kill()
answers["said"] = said
store = Store(tempfile.mkdtemp())
store.write("run-1", run_rows.run_rows(documents))
con = connect(store)
trials = con.sql("select * from trials where tool = 'echo'").to_arrow_table().to_pylist()
answers["trials"] = [[t["transport"], t["outcome"], t["error"], t["received_bps"], t["rtt_s"]] for t in trials]
summary = summarise(con, "run-1", options.method)
answers["compared"] = sorted({(c.path, c.metric) for c in summary.comparisons if c.tool == "echo"})
answers["report"] = "pod-to-pod echo" in report.render(con, "run-1", summary)
print(json.dumps(answers))
"""


def test_a_tool_is_one_file_and_one_entry(copied: Copy) -> None:
    copied.follow("A tool")
    answers = copied.run(TOOL)
    assert ["-m", "steps.tools.echo", "5206"] in answers["lab"]
    assert "default/server:echo" in answers["lab service"]
    assert set(answers["pod"]) == {"iperf3", "connect", "echo"}
    assert "echo" in answers["service"]
    assert set(answers["option"]) == {"echo", "tcp", "udp", "connect"}
    assert answers["plan"] == [["echo", 1], ["iperf3", 1]]
    assert len(answers["said"]) == 4
    assert all(line.startswith("pod-to-pod echo forward 1/1: a round trip in ") for line in answers["said"])
    assert len(answers["trials"]) == 4
    for transport, outcome, error, received_bps, rtt_s in answers["trials"]:
        assert (transport, outcome, error) == ("tcp", "measured", None)
        assert received_bps > 1e4
        assert 0 < rtt_s < 0.1
    assert answers["compared"] == [["pod-to-pod echo", "cpu_s_per_gbit"], ["pod-to-pod echo", "received_bps"]]
    assert answers["report"]


LAB = (
    CHOSEN
    + """
from steps.cluster.lab import LabCluster, sandbox
from steps.cluster.lab.dataplanes import traits
sandbox.is_privileged = lambda: True
found = LabCluster().preflight(choose_settings(seed_source=lambda: 1))
found = [f for f in found if "sandbox" not in f.reason and f.severity != "stop"]
print(json.dumps([chosen()[1], list(traits()), {f.subject: f.reason for f in found}]))
"""
)


def test_a_dataplane_of_the_lab_is_one_entry_and_one_module(copied: Copy) -> None:
    copied.follow("A dataplane of the lab")
    every, proven, left_out = copied.run(LAB)
    assert "lab-renamed" in every
    assert "lab-renamed" in proven
    assert "lab-renamed" not in left_out


def test_a_dataplane_of_the_lab_without_a_module_is_refused_and_its_neighbours_are_not(copied: Copy) -> None:
    copied.follow("A dataplane of the lab", files=False)
    every, proven, left_out = copied.run(LAB)
    assert "lab-renamed" in every
    assert "lab-renamed" not in proven
    assert "there is no steps/cluster/lab/dataplanes/renamed.py" in left_out.pop("lab-renamed")
    assert not any("module" in reason or "traits" in reason for reason in left_out.values())


def test_two_dataplanes_of_the_lab_with_the_same_traits_are_refused_by_both_names(copied: Copy) -> None:
    copied.follow("A dataplane of the lab")
    module = copied.root / "steps/cluster/lab/dataplanes/renamed.py"
    module.write_text('"""The same again."""\n\nfrom steps.cluster.lab.dataplanes.nftables import TRAITS, install\n')
    _, _, left_out = copied.run(LAB)
    assert "lab-renamed and lab-nftables have the same traits" in left_out["lab-renamed"]
    assert "lab-nftables and lab-renamed have the same traits" in left_out["lab-nftables"]
    assert "lab-iptables" not in left_out


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="a lab of the copy needs root")
def test_the_guides_dataplane_of_the_lab_is_proven_in_a_visit_and_its_neighbour_is_not_taken_for_it(
    copied: Copy,
) -> None:
    copied.follow("A dataplane of the lab")
    copied.follow("A topology")
    inside = (sys.executable, "-c", ENTER)
    new = copied.run("import json\nfrom tests.steps.lab.scripts import carry\n" + _carry("lab-renamed"), inside)
    assert new["before"] == new["after"] == {"state": "proven", "observed": "lab-renamed", "reason": None}
    assert min(new["rates"].values()) > 1
    assert "node-to-service" in new["placements"]
    old = copied.run("import json\nfrom tests.steps.lab.scripts import carry\n" + _carry("lab-nftables"), inside)
    assert old["before"] == old["after"] == {"state": "proven", "observed": "lab-nftables", "reason": None}


def _carry(arm: str) -> str:
    return f"print(json.dumps(carry({arm!r}, 20), default=str))"


CLUSTER = (
    CHOSEN
    + """
from analysis.errors import Problem
from steps.cluster.kube.calico.switching.switch import configure
from steps.cluster.kube.calico.switching.cluster_state import read_state
from steps.cluster.kube.calico import restore
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.lock import LockOwner
from tests.steps.kube.fake_api import NAMESPACE, direct_client
from tests.steps.kube.fake_calico import Calico
from tests.steps.kube.test_preflight import findings

ME = LockOwner("run-1", NAMESPACE, None)
NEW = "ebpf-udp"
answers = {"form": NEW in form, "chosen": chosen(environment="prod")[1]}

def switch(calico, dataplane):
    client, _ = direct_client(calico.store)
    configure(client, ME, dataplane, "", lambda _: None, calico.store.advance)

for install in ("manifest", "operator"):
    calico = Calico(install)
    before = calico.settings()
    told = {f.subject: f.reason for f in findings(calico, f"iptables,ebpf,{NEW}") if f.severity == "skip"}
    answers[install] = {"left_out": told}
    try:
        switch(calico, NEW)
        client, _ = direct_client(calico.store)
        answers[install]["set"] = calico.felix["spec"].get("bpfConnectTimeLoadBalancing")
        answers[install]["runs"] = read_state(client, to_switch=False).facts.dataplane
        switch(calico, "ebpf")
        answers[install]["beside"] = calico.felix["spec"].get("bpfConnectTimeLoadBalancing")
        restore.restore(client, lambda _: None, calico.store.advance)
    except Problem as problem:
        answers[install]["refused"] = str(problem)
    answers[install]["as_before"] = calico.settings() == before
"""
)

PROOF = """
from steps.proof.evaluate import evaluate
from tests.steps.kube.test_observe import EBPF, MEASURED, Cluster
from tests.steps.kube.recordings import switch as recorded
from steps.cluster.kube.calico.felix.process import LogPosition
from steps.cluster.kube.calico.proof.signs import Observation, node_signs

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


def test_a_dataplane_of_calico_is_one_entry_and_one_module(copied: Copy) -> None:
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


def test_a_dataplane_of_calico_without_a_module_is_refused_and_nothing_is_patched(copied: Copy) -> None:
    copied.follow("A dataplane of Calico", files=False)
    answers = copied.run(CLUSTER + PRINT)
    for install in ("manifest", "operator"):
        told = answers[install]
        assert set(told["left_out"]) == {"ebpf-udp"}
        assert "there is no steps/cluster/kube/calico/dataplanes/ebpf_udp.py" in told["left_out"]["ebpf-udp"]
        assert told["refused"]
        assert told["as_before"]


def test_two_dataplanes_of_calico_that_no_sign_tells_apart_are_refused_by_both_names(copied: Copy) -> None:
    copied.follow("A dataplane of Calico")
    module = copied.root / "steps/cluster/kube/calico/dataplanes/ebpf_udp.py"
    module.write_text(module.read_text().replace(", shows=_shows", ""))
    answers = copied.run(CLUSTER + PRINT)
    for install in ("manifest", "operator"):
        told = answers[install]["left_out"]
        assert "ebpf-udp and ebpf have the same traits" in told["ebpf-udp"]
        assert "ebpf and ebpf-udp have the same traits" in told["ebpf"]
        assert "iptables" not in told


PLUGIN = '''"""A network plugin that the tests make up."""

from steps.cluster.kube.calico.plugin import Calico
from steps.domain import Change, Finding


class Toy(Calico):
    """One that is switched by saying so."""

    @staticmethod
    def runs(client):
        return True

    def findings(self, standing, settings, accepted):
        return [Finding(severity="skip", subject=name, reason=f"{name} is none of Toy's.", remedy="Leave it out.")
                for name in settings.dataplanes if name != "toy"]

    def rehearsed(self, standing, asked, original):
        return []

    def configure(self, dataplane, before):
        return [Change(what=f"Toy runs {dataplane}", command="toy")]
'''


def test_a_network_plugin_is_one_folder_and_one_line(copied: Copy) -> None:
    folder = copied.root / "steps/cluster/kube/toy"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Toy."""\n')
    (folder / "plugin.py").write_text(PLUGIN)
    cnis = copied.root / "steps/cluster/kube/cnis.py"
    text = cnis.read_text().replace("(Calico,)", "(Calico, Toy)")
    cnis.write_text(text.replace("from typing", "from steps.cluster.kube.toy.plugin import Toy\nfrom typing", 1))
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
        "calicos = {f.subject: f.reason for f in findings(calico, 'toy,iptables') if f.severity == 'skip'}\n"
        "answers['calicos'] = calicos\n"
    )
    answers = copied.run(program + PRINT)
    assert answers["changes"] == ["Toy runs toy"]
    assert answers["left_out"]["iptables"] == "iptables is none of Toy's."
    assert "toy" not in answers["left_out"]
    assert answers["calicos"] == {"toy": "toy is no dataplane of Calico, which is what would be switched here."}
