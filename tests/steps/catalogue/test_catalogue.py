"""Every entry of the catalogues, including new ones."""

import re
from typing import get_args

import pytest

from steps.catalogue import dataplanes, options, profiles, topologies
from steps.catalogue.dataplanes import Arm, Dataplane
from steps.catalogue.environments import LAB, EnvironmentKind
from steps.catalogue.profiles import Profile
from steps.catalogue.topologies import Topology


@pytest.mark.parametrize("entry", dataplanes.DATAPLANES, ids=lambda e: e.name)
def test_dataplane_catalogue_entries(entry: Dataplane) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert entry.title
    assert re.fullmatch(r"#[0-9A-F]{6}", entry.colour)
    assert entry.environment in get_args(EnvironmentKind)
    assert (entry.environment == LAB) == entry.name.startswith("lab-"), "lab figures are labelled as such"
    assert entry.is_switched == (entry.mechanism is not None) == (entry.direct_return is not None)
    assert (entry.cni is None) == (entry.environment == LAB or not entry.is_switched)


@pytest.mark.parametrize("field", ["name", "title", "colour"])
def test_dataplane_names_titles_and_colours_are_unique(field: str) -> None:
    for kind in get_args(EnvironmentKind):
        values = [getattr(d, field) for d in dataplanes.of_kind(kind)]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("entry", topologies.TOPOLOGIES, ids=lambda e: e.name)
def test_topology_catalogue_entries(entry: Topology) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert entry.title
    assert entry.description.endswith(".")
    inside = entry.target in {"node-address", "pod-address", "own-service"}
    assert not entry.same_node or (inside and entry.client != "outside")
    assert entry.same_node or entry.target != "own-service"
    assert entry.client != "outside" or entry.target in {
        "nodeport",
        "local-nodeport",
        "load-balancer",
        "node-address",
    }, "there is no way to a pod from there"


def test_node_to_node_is_between_nodes() -> None:
    between_hosts = topologies.BY_NAME[topologies.NODE_TO_NODE]
    assert (between_hosts.client, between_hosts.target) == ("node", "node-address")


@pytest.mark.parametrize("entry", profiles.PROFILES, ids=lambda e: e.name)
def test_profile_catalogue_entries(entry: Profile) -> None:
    assert entry.description
    for environment in ("lab", "prod"):
        amount = options.defaults(entry.name, environment)
        assert amount["rounds"] >= 2 or entry.is_dealt, "where dataplanes are compared one visit of each may be a fluke"
        assert amount["duration_s"] >= 1
    cells = entry.cells or ()
    assert len(set(cells)) == len(cells)
    assert {c.topology for c in cells} <= set(topologies.BY_NAME)
    assert all(c.direction in c.program.directions for c in cells)


def test_default_profile_exists() -> None:
    assert profiles.DEFAULT in profiles.BY_NAME


@pytest.mark.parametrize(
    ("text", "name", "label", "burden"),
    [("lab-x", "lab-x", None, 0), ("lab-x+twin", "lab-x", "twin", 0), ("lab-x+burden=7", "lab-x", "burden=7", 7)],
)
def test_arm_round_trips_through_text(text: str, name: str, label: str | None, burden: int) -> None:
    arm = Arm.parse(text)
    assert (arm.name, arm.label, arm.burden, str(arm)) == (name, label, burden, text)
