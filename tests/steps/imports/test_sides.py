"""What dataplanes and topologies are stored and shown as: by the mapping, the catalogues, and what files call them."""

import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.imports.places import NO_MAPPING, MappingFile, read_mapping
from steps.imports.sides import ImportedName, ImportedNames

NAME = re.compile("[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
MAPPING = """
[dataplanes]
calico = {name = "iptables", title = "Calico"}
calico-bpf = "ebpf"
[topologies]
dts = "pod-to-pod"
lan = {title = "between buildings", host_network = true}
"""
ALIKE = st.sampled_from(["Calico eBPF", "calico_ebpf", "calico-ebpf", "日本", "中国", "a" * 70, "a" * 80, "\x01", "-"])


def mapping(text: str = MAPPING) -> MappingFile:
    return read_mapping(text.encode(), "m.toml")


def dataplanes(*texts: str, by: MappingFile = NO_MAPPING) -> list[ImportedName]:
    sides = ImportedNames.of(by, texts, ())
    return [sides.dataplane(text) for text in texts]


def topologies(*texts: str, by: MappingFile = NO_MAPPING) -> list[ImportedName]:
    sides = ImportedNames.of(by, (), texts)
    return [sides.topology(text) for text in texts]


def test_catalogue_gives_title_and_colour_and_any_other_has_its_own_name() -> None:
    known, other = dataplanes("ebpf", "Cilium 1.15")
    assert (known.name, known.title, known.colour) == ("ebpf", "eBPF", "#009E73")
    assert (other.name, other.title, other.colour) == ("cilium-1.15", "Cilium 1.15", None)
    path, weird = topologies("pod-to-pod", "Weird Path!")
    assert (path.name, path.title) == ("pod-to-pod", "pod to pod across nodes")
    assert (weird.name, weird.host_network) == ("weird-path", False)


def test_mapping_gives_names_and_titles() -> None:
    (calico,) = dataplanes("calico", by=mapping())
    assert (calico.name, calico.title) == ("iptables", "Calico")
    (lan,) = topologies("lan", by=mapping())
    assert (lan.name, lan.title, lan.host_network) == ("lan", "between buildings", True)


def test_one_name_is_given_to_two_by_the_mapping_alone() -> None:
    names = [side.name for side in topologies("dts", "pod-to-pod", "Pod to pod", by=mapping())]
    assert names[:2] == ["pod-to-pod"] * 2
    assert re.fullmatch("pod-to-pod-[0-9a-f]{6}", names[2])
    assert [side.name for side in dataplanes("eBPF", "calico-bpf", by=mapping())][1] == "ebpf"
    assert dataplanes("eBPF", "calico-bpf", by=mapping())[0].name != "ebpf", "the mapping's word comes before"
    assert ImportedNames.of(mapping(), ["calico-bpf", "calico", "x"], ()).order == ["iptables", "ebpf"]


@pytest.mark.parametrize("named", [dataplanes, topologies])
def test_those_whose_names_would_be_one_stand_apart_with_the_titles_that_were_read(
    named: Callable[..., list[ImportedName]],
) -> None:
    first, second = named("Calico eBPF", "calico_ebpf")
    assert first.name == "calico-ebpf"
    assert re.fullmatch("calico-ebpf-[0-9a-f]{6}", second.name)
    assert (first.title, second.title) == ("Calico eBPF", "calico_ebpf")


def test_what_is_a_name_already_keeps_it_and_no_two_titles_are_alike() -> None:
    spoken, name = topologies("over a wan", "over-a-wan")
    assert (name.name, name.title, spoken.title) == ("over-a-wan", "over-a-wan", "over a wan")
    known, loud = dataplanes("ebpf", "eBPF")
    assert (known.name, known.title, loud.title) == ("ebpf", "ebpf", "eBPF")


def test_text_without_latin_letters_has_a_name_of_its_own_whatever_stands_beside_it() -> None:
    japan, china = dataplanes("日本", "中国")
    assert (japan.title, china.title) == ("日本", "中国")
    assert japan.name != china.name
    assert dataplanes("日本") == [japan]
    assert dataplanes("中国") == [china]
    assert re.fullmatch("dataplane-[0-9a-f]{6}", japan.name)
    assert [(side.name, side.title) for side in topologies("ü ü")] == [("u-u", "ü ü")]


@given(st.lists(st.one_of(st.text(max_size=100), ALIKE), max_size=8, unique=True), st.randoms())
def test_any_texts_become_names_that_differ_and_do_not_depend_on_the_order(texts: list[str], random: Random) -> None:
    found = {text: side.name for text, side in zip(texts, dataplanes(*texts), strict=True)}
    assert len(set(found.values())) == len(texts)
    assert all(map(NAME.fullmatch, found.values())), "and none has a plus, as a labelled twin has"
    random.shuffle(texts)
    assert found == {text: side.name for text, side in zip(texts, dataplanes(*texts), strict=True)}
