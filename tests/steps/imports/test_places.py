"""Where files stand: patterns, mappings, and what is given for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from steps.imports.places import NO_MAPPING, ImportPlace, Places, compile_pattern, natural, read_mapping
from steps.imports.values import instant, number

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
    assert place == ImportPlace("ebpf", "pod-to-pod", "night-3", 12)
    for other in ("ebpf/pod-to-pod/night-3-12.txt", "x/ebpf/pod-to-pod/1-1.json", "ebpf/pod-to-pod/1-x.json"):
        assert found.place(other) is None


def test_mapping_gives_places_and_what_is_given_for_all_comes_last() -> None:
    assert places().place("calico/dts-1.json") == ImportPlace("calico", "dts", "", 1)
    assert places().place("rerun/deep/file.json") == ImportPlace("calico", "dts", "4")
    given_last = places(pattern="*/{topology}.json", dataplane="Cilium 1.15")
    assert given_last.place("x/Weird Path!.json") == ImportPlace("Cilium 1.15", "Weird Path!")


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


@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from(["1", "01", "run1", "run01"])), max_size=5))
def test_any_names_can_be_sorted_whatever_order_they_come_in(texts: list[str]) -> None:
    backwards = list(reversed(texts))
    assert sorted(texts, key=natural) == sorted(backwards, key=natural)


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
