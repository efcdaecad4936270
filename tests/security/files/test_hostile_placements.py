"""Nothing in a document of prepared placements becomes a command, a path, an option or another host's address."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis.errors import Problem
from steps import documents
from steps.domain import Monitor, Placement
from steps.measurement import client_network
from steps.namespaces import command_in, path
from steps.settings.turn_order import HOST_NETWORK
from steps.tasks.measure import measure
from tests.steps.builders import placement, settings

STEPS = ("pod-to-service", HOST_NETWORK)
"""What a measuring step measures: a topology, or the host network."""

TOKEN = "0123456789abcdef" * 2
OUTSIDE = "external-to-nodeport"
MONITOR = f"http://10.0.0.1:5203/{TOKEN}"


def prepared(place: dict[str, Any]) -> dict[str, Any]:
    """A document of `prepare` that has this placement for the measured topology and for the host network."""
    return {"visit": 1, "placements": [place, place | {"topology": "node-to-node"}]}


def run_step(folder: Path, what: str, document: object) -> None:
    """Measure, by a document as the bucket or the results folder has it."""
    file = folder / "prepare.json"
    file.write_text(json.dumps(document))
    chosen = settings(topologies="pod-to-service").model_dump_json()
    measure(chosen, "01", what, "node-a", "pod", "60s", "title", file, None, folder / "raw")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is searched for programs: iperf3 and nsenter write down how they were called, and fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("iperf3", "nsenter"):
        (folder / name).write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/calls\nexit 1\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(tmp_path / "termination-log"))
    return folder


def lab_placement(fields: Mapping[str, object]) -> dict[str, Any]:
    """A placement of the lab with other fields; those of earlier runs had a `prefix` in the place of `namespace`."""
    base = placement(namespace="pod-a", address="10.96.0.10").model_dump(mode="json")
    if "prefix" in fields:
        del base["namespace"]
    return {**base, **fields}


HOSTILE: dict[str, Callable[[str], dict[str, object]]] = {
    "prefix is a command": lambda mark: {"prefix": ["sh", "-c", f"touch {mark}"]},
    "prefix enters a namespace and goes on": lambda mark: {"prefix": ["nsenter", "--net=/run/netns/pod-a", "sh", mark]},
    "prefix enters another namespace kind": lambda _: {"prefix": ["nsenter", "--net=/run/netns/pod-a", "--mount=/x"]},
    "prefix of the first process": lambda _: {"prefix": ["nsenter", "--net=/proc/1/ns/net"]},
    "prefix is a text": lambda mark: {"prefix": f"sh -c 'touch {mark}'"},
    "prefix leads out of the folder": lambda _: {"prefix": ["nsenter", "--net=/run/netns/../../proc/1/ns/net"]},
    "namespace leads out of the folder": lambda _: {"namespace": "../../proc/1/ns/net"},
    "namespace is an option": lambda _: {"namespace": "--target=1"},
    "namespace is a path": lambda _: {"namespace": "/proc/1/ns/net"},
    "namespace has a second line": lambda _: {"namespace": "pod-a\n--all"},
    "namespace is missing": lambda _: {"namespace": None},
    "address is an option": lambda mark: {"address": f"--logfile={mark}"},
    "address is a name": lambda _: {"address": "attacker.example"},
    "address is the metadata service": lambda _: {"address": "169.254.169.254"},
    "address has a scope": lambda _: {"address": "fe80::1%eth0 --logfile=x"},
    "address is a group": lambda _: {"address": "224.0.0.1"},
    "port is an option": lambda _: {"ports": {"iperf3": "-D", "tcp_connect": 5202}},
    "port is out of range": lambda _: {"ports": {"iperf3": 70_000, "tcp_connect": 5202}},
    "port is missing": lambda _: {"ports": {}},
    "interface is an option": lambda _: {"interface": "-batch"},
    "interface is a path": lambda _: {"interface": "../../etc/shadow"},
    "monitor is a file": lambda _: {"monitors": [{"node": "a", "side": "both", "source": "file:///etc/shadow"}]},
    "monitor is another host": lambda _: {
        "monitors": [{"node": "a", "side": "both", "source": "http://attacker.example:80/"}]
    },
    "monitor is another service": lambda _: {
        "monitors": [{"node": "a", "side": "both", "source": "http://10.0.0.1:80/"}]
    },
    "monitor is the metadata service": lambda _: {
        "monitors": [{"node": "a", "side": "both", "source": "http://169.254.169.254:80/"}]
    },
    "monitor has credentials": lambda _: {
        "monitors": [{"node": "a", "side": "both", "source": "http://a:b@10.0.0.1:80/"}]
    },
    "monitor leads out of the folder": lambda _: {
        "nat_monitor": {"node": "a", "side": "nat", "source": "netns:../../proc/1/ns/net"}
    },
    "a command beside the namespace": lambda mark: {"namespace": "pod-a", "prefix": ["sh", "-c", f"touch {mark}"]},
    "turns are a file": lambda mark: {"turns": f"unix:{mark}"},
    "turns are another service": lambda _: {"turns": "http://10.0.0.1:80/"},
    "turns are the metadata service": lambda _: {"turns": f"http://169.254.169.254:5203/{TOKEN}"},
    "a field that is not known": lambda mark: {"command": f"touch {mark}"},
}


@pytest.mark.parametrize("what", STEPS)
@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_placement_ends_the_step_in_a_sentence(
    programs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, attack: str
) -> None:
    del programs
    mark = tmp_path / "mark"
    with pytest.raises(SystemExit) as ended:
        run_step(tmp_path, what, prepared(lab_placement(HOSTILE[attack](str(mark)))))
    assert ended.value.code in {1, 2}
    assert not mark.exists()
    assert not (tmp_path / "calls").exists(), "no program is started"
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    assert "Traceback" not in sentence


@pytest.mark.parametrize("what", STEPS)
def test_programs_are_started_in_the_namespace_alone(programs: Path, tmp_path: Path, what: str) -> None:
    run_step(tmp_path, what, prepared(lab_placement({"interface": "eth0"})))
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls
    assert all(call.startswith(f"{programs}/nsenter --net=/run/netns/pod-a ") for call in calls)


@pytest.mark.parametrize(
    ("environment", "fields", "fits"),
    [
        ("lab", {"namespace": "pod-a"}, True),
        ("lab", {}, False),
        ("lab", {"namespace": "pod-a", "monitors": ("http://10.0.0.1:5203/",)}, False),
        ("lab", {"namespace": "pod-a", "nat": "http://10.0.0.1:5203/"}, False),
        ("prod", {"monitors": ("http://10.0.0.1:5203/", "http://[fd00::1]:5203/")}, True),
        ("prod", {"monitors": (f"http://10.0.0.1:5203/{TOKEN}", f"http://[fd00::1]:5203/{TOKEN}")}, True),
        ("prod", {"namespace": "pod-a", "monitors": ("http://10.0.0.1:5203/",)}, False),
        ("prod", {"monitors": ("local",)}, False),
        ("prod", {"monitors": ("http://10.0.0.1:5203/",), "turns": f"http://10.0.0.1:5203/{TOKEN}"}, True),
        ("prod", {"monitors": ("http://10.0.0.1:5203/",), "turns": f"http://10.0.0.1:80/{TOKEN}"}, False),
        ("prod", {"monitors": ("http://10.0.0.1:5203/",), "turns": f"http://10.0.0.1:30103/{TOKEN}"}, False),
        ("prod", {"topology": OUTSIDE, "monitors": (MONITOR,), "turns": f"http://10.0.0.1:30103/{TOKEN}"}, True),
        ("prod", {"topology": OUTSIDE, "monitors": (MONITOR,), "turns": f"http://10.0.0.1:80/{TOKEN}"}, False),
        ("prod", {"topology": OUTSIDE, "monitors": (f"http://10.0.0.1:30103/{TOKEN}",)}, False),
        ("prod", {"monitors": ("http://10.0.0.1:5203/",), "turns": "unix:/run/lab/turns"}, False),
        ("lab", {"namespace": "pod-a", "turns": "unix:/run/lab/turns"}, True),
        ("lab", {"namespace": "pod-a", "turns": f"http://10.0.0.1:5203/{TOKEN}"}, False),
        ("prod", {"monitors": ("http://10.0.0.1:443/",)}, False),
        ("prod", {"monitors": (f"http://10.0.0.1:443/{TOKEN}",)}, False),
        ("prod", {"monitors": ("http://10.0.0.1:15203/",)}, False),
        ("prod", {"monitors": ("http://10.0.0.1:5203/",), "nat": "netns:node-a"}, False),
    ],
)
def test_placement_of_another_environment_is_refused(environment: str, fields: dict[str, Any], fits: bool) -> None:  # noqa: FBT001
    sources = fields.pop("monitors", ("local",))
    monitors = tuple(Monitor(node=f"node-{i}", side="server", source=source) for i, source in enumerate(sources))
    nat = fields.pop("nat", None)
    place = placement(
        monitors=monitors, nat_monitor=Monitor(node="nat", side="nat", source=nat) if nat else None, **fields
    )
    if fits:
        client_network.check_place(place, environment)
    else:
        with pytest.raises(Problem, match=r"was not made in the environment .*: its document was changed"):
            client_network.check_place(place, environment)


@pytest.mark.parametrize(
    ("stored", "namespace"),
    [
        ({"prefix": ["nsenter", "--net=/run/netns/pod-a"]}, "pod-a"),
        ({"prefix": []}, None),
        ({}, None),
        ({"prefix": [], "port": 5201, "connect_port": 5202}, None),
    ],
)
def test_placements_of_earlier_runs_are_read(stored: dict[str, object], namespace: str | None) -> None:
    now = placement().model_dump(mode="json", exclude={"namespace"})
    if "port" in stored:
        del now["ports"]
    read = Placement.model_validate_json(json.dumps(now | stored))
    assert (read.namespace, read.port("iperf3")) == (namespace, 5201)
    assert "prefix" not in read.model_dump()


@given(st.text())
def test_namespace_path_never_leaves_its_folder(name: str) -> None:
    try:
        command = command_in(name, ("true",))
    except Problem:
        with pytest.raises(ValidationError):
            Placement.model_validate(placement().model_dump() | {"namespace": name})
        return
    assert path(name).parent == Path("/run/netns")
    assert command == ("nsenter", f"--net=/run/netns/{name}", "true")


def test_trial_document_of_a_hostile_placement_is_not_read(tmp_path: Path) -> None:
    """Its trial is lost with a sentence, and no other."""
    file = tmp_path / "0001.json"
    file.write_text(json.dumps({"placement": lab_placement({"prefix": ["sh", "-c", "true"]})}))
    with pytest.raises(Problem, match=r"0001\.json is damaged"):
        documents.read_document(file, documents.TrialDocument)
