"""Whose file it is: what is of no program says so, and what is damaged says so of the right one."""

from random import Random

import pytest

from steps.imports.readers import formats
from steps.tools.failure import Failure
from tests.steps.imports import written

IPERF3 = written.text(written.tcp())
NETPERF = written.text([written.netperf()])


def reason(data: bytes) -> str:
    found = formats.read(data)
    assert isinstance(found, Failure)
    return found.reason


@pytest.mark.parametrize("begin", [b"", b"{", b"[", b'{"', b"\x00{\x01", b"[{", b'["', b"junk {", b'{"start\xff'])
def test_random_bytes_are_no_output_of_a_program(begin: bytes) -> None:
    found = {reason(begin + Random(seed).randbytes(3000) + b"}") for seed in range(50)}
    assert found == {f"{formats.UNKNOWN}, and no text in UTF-8"}


@pytest.mark.parametrize(
    "text", ["{hello", "[1, 2, 3]", '[{"a": 1}]', '["', '{"hello":', "iperf Done. {x}", "[a]\nb = 1", "{{}", "ünï"]
)
def test_text_of_another_kind_is_told_with_its_beginning(text: str) -> None:
    assert reason(text.encode()) == f"{formats.UNKNOWN}, but begins with {text.splitlines()[0]!r}"


def test_text_that_is_cut_within_a_letter_is_text() -> None:
    assert "but begins with" in reason(b"x" * 4095 + "ü".encode())
    assert "no text in UTF-8" in reason("iperf3".encode("utf-16"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{", "iperf3's JSON is cut short after 1 byte"),
        (b'{"sta', "iperf3's JSON is cut short after 5 bytes"),
        (IPERF3[:-40], "iperf3's JSON is cut short after "),
        (b"warning: x\n" + IPERF3[:-40], "iperf3's JSON is cut short after "),
        (IPERF3.replace(b'"end"', b"end"), "iperf3's JSON is damaged: "),
        (written.text(written.knb_report())[:-9], "knb's JSON is cut short after "),
        (NETPERF[:-9], "k8s-netperf's JSON is cut short after "),
        (NETPERF[1:-9], "k8s-netperf's JSON is cut short after "),
        (b"[]", "it has no results of k8s-netperf"),
    ],
)
def test_damaged_document_is_told_of_the_program_that_wrote_it(data: bytes, expected: str) -> None:
    found = reason(data)
    assert found.startswith(expected)
    assert "in a file" not in found
