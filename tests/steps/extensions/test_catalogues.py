"""docs/extending.md is true for topologies, tools and dataplanes of the lab."""

import os
import sys

import pytest

from tests.steps.extensions.copy import CHOSEN, Copy
from tests.steps.lab.conftest import ENTER


def test_topology_is_one_entry(copied: Copy) -> None:
    copied.follow("A topology")
    trials, shown, lab, kube = copied.run(
        CHOSEN
        + """
from steps.catalogue.topologies import BY_NAME
from steps.cluster.lab import servers
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.servers import trial_servers
new = BY_NAME["node-to-pod"]
places = [probe_pods.Site("a", "10.0.0.1"), probe_pods.Site("b", "10.0.0.2")]
print(json.dumps([
    chosen(topologies="node-to-pod")[0], "node-to-pod" in form,
    [server.namespace for server in servers.needed([new])],
    [pod["metadata"]["name"] for pod in trial_servers.manifests([new], places, "image:1")],
]))
"""
    )
    assert set(trials) == {"node-to-pod"}
    assert shown
    assert {"node-b", "pod-b"} == set(lab)
    assert {"server-host", "server"} <= set(kube)


def test_shape_of_traffic_is_one_entry(copied: Copy) -> None:
    copied.follow("A shape")
    offered, planned, argv, ports = copied.run(
        CHOSEN
        + """
from steps.catalogue import options
from steps.catalogue.tools import VARIANTS
from steps.cluster.lab import servers
from steps.tools.tool import Task
tool, variant = VARIANTS["tcp-32"]
settings = choose_settings(topologies="pod-to-pod", options="protocols=tcp-32,tcp", seed_source=lambda: 1)
trials = [trial for visit in make_schedule(settings) for trial in visit.trials]
print(json.dumps([
    "tcp-32" in options.BY_NAME["protocols"].choices,
    sorted({(trial.tool, trial.streams) for trial in trials}),
    list(tool.command(Task(transport="tcp", streams=32), "10.0.0.1", tool.port)),
    [tool.served_by, tool.port == VARIANTS["tcp"][0].port],
]))
"""
    )
    assert offered
    assert {tool for tool, _ in planned} == {"iperf3", "tcp_32"}
    assert argv[argv.index("-P") + 1] == "32"
    assert ports == ["iperf3", True]


TOOL = """
import json, subprocess, tempfile
from pathlib import Path
from analysis import report
from analysis.sql.database import connect
from analysis.store.store import Store
from analysis.summary.run.summary import summarise
from steps.collect import run_rows
from steps.measurement.trials import measure_trials
from steps.settings import schedule
from steps import documents
from steps.catalogue import options
from steps.catalogue.tools import BY_NAME, served
from steps.catalogue import topologies
from steps.cluster.kube.workloads import probe_pods
from steps.cluster.kube.servers import trial_servers
from steps.cluster.lab import servers
from steps.cluster.lab.network import services
from steps.tools.tool import here
from tests.steps.builders import placement, settings, write_run
from tests.steps.measuring import free_port
from tests.waiting import until

tools, path = served(["echo"]), [topologies.BY_NAME["pod-to-pod"]]
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
port, run_folder = free_port(), Path(tempfile.mkdtemp())
answers["plan"] = sorted({(t.tool, t.streams) for visit in write_run(run_folder, chosen) for t in visit.trials})
server = subprocess.Popen(here(BY_NAME["echo"].server(port)))
until(lambda: f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text())
lines = []
for visit in schedule.make_schedule(chosen):
    trials = [trial for trial in visit.trials if trial.tool == "echo"]
    folder = run_folder / documents.visit_directory(visit.visit) / "pod-to-pod"
    place = placement(topology="pod-to-pod", ports={"echo": port})
    measure_trials(place, trials, chosen, folder, lines.append, lambda *_: None)
server.kill()
answers["lines"] = lines
store = Store(tempfile.mkdtemp())
store.write("run-1", run_rows.run_rows(run_folder))
con = connect(store)
trials = con.sql("select * from trials where tool = 'echo'").to_arrow_table().to_pylist()
answers["trials"] = [[t["transport"], t["outcome"], t["error"], t["received_bps"], t["rtt_s"]] for t in trials]
summary = summarise(con, "run-1", options.method)
answers["compared"] = sorted({(c.path, c.metric) for c in summary.comparisons if c.tool == "echo"})
answers["report"] = "pod-to-pod echo" in report.render_pages(con, "run-1", summary).report
print(json.dumps(answers))
"""


def test_tool_is_one_file_and_one_entry(copied: Copy) -> None:
    copied.follow("A tool")
    answers = copied.run(TOOL)
    assert ["-m", "steps.tools.echo", "5207"] in answers["lab"]
    assert "default/server:echo" in answers["lab service"]
    assert set(answers["pod"]) == {"iperf3", "connect", "echo"}
    assert "echo" in answers["service"]
    assert {"echo", "tcp", "udp", "connect"} < set(answers["option"])
    assert answers["plan"] == [["echo", 1], ["iperf3", 1]]
    assert len(answers["lines"]) == 4
    assert all(line.startswith("pod-to-pod echo forward 1/1: a round trip in ") for line in answers["lines"])
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
from steps.cluster.lab import capabilities
from steps.cluster.lab.adapter import LabCluster
from steps.cluster.lab.dataplanes import traits
capabilities.is_privileged = lambda: True
found = LabCluster().preflight(choose_settings(seed_source=lambda: 1))
found = [f for f in found if "sandbox" not in f.reason and f.severity != "stop"]
print(json.dumps([chosen()[1], list(traits()), {f.subject: f.reason for f in found}]))
"""
)


def test_dataplane_of_the_lab_is_one_entry_and_one_module(copied: Copy) -> None:
    copied.follow("A dataplane of the lab")
    every, proven, left_out = copied.run(LAB)
    assert "lab-renamed" in every
    assert "lab-renamed" in proven
    assert "lab-renamed" not in left_out


def test_dataplane_of_the_lab_without_a_module_is_refused_and_its_neighbours_are_not(copied: Copy) -> None:
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


PROVEN = """
import json
from steps.cluster.lab.adapter import LabCluster
from tests.steps.lab.scripts import carry
from tests.steps.lab.visits import proof_of, settings_of, visit_to

new = carry("lab-renamed", 20)
lab, visit = LabCluster(), visit_to("lab-nftables")
lab.configure(visit, settings_of("lab-nftables"))
neighbour = [proof_of(lab.observe(visit, moment), "lab-nftables") for moment in ("before", "after")]
print(json.dumps([new, neighbour], default=str))
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="a lab of the copy needs root")
def test_guides_lab_dataplane_is_proven_in_a_visit_and_its_neighbour_is_not_taken_for_it(
    copied: Copy,
) -> None:
    copied.follow("A dataplane of the lab")
    copied.follow("A topology")
    new, neighbour = copied.run(PROVEN, (sys.executable, "-c", ENTER))
    assert new["before"] == new["after"] == {"state": "proven", "observed": "lab-renamed", "reason": None}
    assert min(new["rates"].values()) > 1
    assert "node-to-pod" in new["placements"]
    assert neighbour == [{"state": "proven", "observed": "lab-nftables", "reason": None}] * 2
