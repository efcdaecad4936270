import json
import os
from random import Random

import pytest

from tests.fuzz import inputs


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "COUNTS", {})
    for name in ("FUZZ_INPUTS", "FUZZ_FROM"):
        monkeypatch.delenv(name, raising=False)


def test_fuzz_inputs_are_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def try_one(random: Random) -> tuple[str, str]:
        seen.append(random.random())
        return "a kind", "read" if seen[-1] < 0.5 else "refused"

    counts = inputs.run("these", try_one, ci=20)
    assert counts.total() == len(set(seen)) == 20
    monkeypatch.setenv("FUZZ_INPUTS", "300")
    inputs.run("these", try_one, ci=20, share=0.1)
    assert len(seen) == 50
    assert seen[20:40] == seen[:20]
    text = "\n".join(inputs.lines())
    assert "these: 50 inputs" in text
    assert " read" in text
    assert " refused" in text


def test_fuzz_failure_names_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def third_fails(random: Random) -> tuple[str, str]:
        tried.append(random.random())
        if len(tried) == 3:
            raise AssertionError
        return "a kind", "read"

    with pytest.raises(AssertionError) as caught:
        inputs.run("these", third_fails, ci=5)
    (note,) = caught.value.__notes__
    assert "FUZZ_FROM=2 FUZZ_INPUTS=1" in note
    monkeypatch.setenv("FUZZ_FROM", "2")
    monkeypatch.setenv("FUZZ_INPUTS", "1")
    inputs.run("these", third_fails, ci=5)
    assert tried[-1] == tried[2]
    assert os.environ["FUZZ_FROM"] == "2"


def test_fuzz_counts_of_several_processes_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = iter([("a kind", "read"), ("a kind", "refused"), ("a kind", "read")])
    inputs.run("these", lambda _random: next(outcomes), ci=3)
    handed_on = json.loads(json.dumps(inputs.plain_counts()))
    monkeypatch.setattr(inputs, "COUNTS", {})
    for _process in range(2):
        inputs.add_counts(handed_on)
    assert inputs.lines() == ["these: 6 inputs", "  a kind: 4 read, 2 refused"]
