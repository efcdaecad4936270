"""Where files stand: patterns, mappings, and what is given for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from steps.imports.places import NO_MAPPING, Places, compile_pattern, natural, read_mapping
from steps.imports.values import instant, number, slug

MAPPING = """
pattern = "{dataplane}/{topology}-{repetition}.json"
[dataplanes]
calico = {name = "iptables", title = "Calico"}
calico-bpf = "ebpf"
[topologies]
dts = "pod-to-pod"
lan = {title = "between buildings", host_network = true}
[[files]]
file = "rerun/*"
dataplane = "calico"
topology = "dts"
visit = 4
"""


def places(pattern: str = "", **given_for_all: str) -> Places:
    return Places.of(pattern, read_mapping(MAPPING.encode(), "m.toml"), given_for_all)


def test_pattern_names_each_part_of_a_path() -> None:
    found = Places.of("{dataplane}/{topology}/{visit}-{repetition}.json", NO_MAPPING, {})
    place = found.place("ebpf/pod-to-pod/night-3-12.json")
    assert place is not None
    assert place.dataplane is not None
    assert place.topology is not None
    assert (place.dataplane.name, place.topology.name, place.visit, place.repetition) == (
        *("ebpf", "pod-to-pod", "night-3"),
        12,
    )
    assert (place.dataplane.title, place.dataplane.colour) == ("eBPF", "#009E73"), "as the catalogue has it"
    assert place.topology.title == "pod to pod across nodes"
    for other in ("ebpf/pod-to-pod/night-3-12.txt", "x/ebpf/pod-to-pod/1-1.json", "ebpf/pod-to-pod/1-x.json"):
        assert found.place(other) is None


def test_mapping_gives_names_titles_and_places() -> None:
    place = places().place("calico/dts-1.json")
    assert place is not None
    assert place.dataplane is not None
    assert place.topology is not None
    assert (place.dataplane.name, place.dataplane.title, place.topology.name) == ("iptables", "Calico", "pod-to-pod")
    rerun = places().place("rerun/deep/file.json")
    assert rerun is not None
    assert (rerun.dataplane, rerun.topology, rerun.visit) == (place.dataplane, place.topology, "4")
    lan = places().topology("lan")
    assert (lan.name, lan.title, lan.host_network) == ("lan", "between buildings", True)


def test_place_given_for_all_files_comes_last() -> None:
    place = places(pattern="*/{topology}.json", dataplane="Cilium 1.15").place("x/Weird Path!.json")
    assert place is not None
    assert place.dataplane is not None
    assert place.topology is not None
    assert (place.dataplane.name, place.dataplane.title, place.dataplane.colour) == ("cilium-1.15", "Cilium 1.15", None)
    assert (place.topology.name, place.topology.host_network) == ("weird-path", False)
    assert (place.visit, place.repetition) == ("", None)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{dataplan}/x", "the pattern has {dataplan}"),
        ("{visit}-{visit}", "the pattern has {visit} twice"),
        ("{visit", "brace without its other one"),
        ("*" * 9, "more than 8 stars"),
    ],
)
def test_invalid_pattern_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason.replace("{", r"\{")):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "text", ["x = ", "[dataplanes]\na = {colour = 'red'}", "[[files]]\nfile = 'x'\nvisits = 3", "\xff"]
)
def test_invalid_mapping_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"the mapping m\.toml (is no TOML|does not fit)"):
        read_mapping(text.encode("latin-1"), "m.toml")


@given(st.text(max_size=300))
def test_any_text_becomes_a_name_that_can_be_stored(text: str) -> None:
    side = Places().dataplane(text)
    assert side.name
    assert side.name == (slug(side.name) or "unnamed")
    assert "+" not in side.name, "it would be a labelled twin"


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_names_can_be_sorted(texts: list[str]) -> None:
    assert len(sorted(texts, key=natural)) == len(texts)


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text()))
def test_any_value_is_a_number_within_bounds_or_none(value: object) -> None:
    found = number(value, 100)
    assert found is None or 0 <= found <= 100


@given(st.text())
def test_any_text_is_a_time_near_the_present_or_none(text: str) -> None:
    found = instant(text)
    assert found is None or 2000 <= found.year < 2200


def test_names_are_sorted_as_a_reader_would() -> None:
    assert sorted(["run10", "run2", "run1"], key=natural) == ["run1", "run2", "run10"]
