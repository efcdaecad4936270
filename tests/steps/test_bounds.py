"""Every number has a bound, in one place, which is held when it is typed and again when it is loaded."""

import json
import types
import typing
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from analysis.errors import BadInput
from steps.arms import MOST_RULES
from steps.options import OPTIONS, Option
from steps.plan import expected_s
from steps.settings import LONGEST_TEXT, MOST_ARMS, MOST_LAB_SERVICES, Settings, bounds, choose, load
from steps.tasks.common import planned


def is_number(field: FieldInfo) -> bool:
    kinds = typing.get_args(field.annotation) if isinstance(field.annotation, types.UnionType) else (field.annotation,)
    return bool({int, float} & set(kinds))


NUMBERS = [name for name, field in Settings.model_fields.items() if is_number(field)]
TYPED = [option for option in OPTIONS if option.field in NUMBERS]


def chosen(**changes: object) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(choose(options="protocols=tcp,udp", environment="prod").model_dump_json())
    return values | changes


def test_there_are_numbers() -> None:
    assert {"duration_s", "offered_bps", "services", "seed", "remeasure_ratio", "block_size_bytes"} <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_least_and_a_greatest_value(name: str) -> None:
    assert name in bounds()


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("side", ["low", "high"])
def test_what_is_loaded_is_held_to_them(name: str, side: str) -> None:
    limits = bounds()[name]
    beyond = limits.low - 1 if side == "low" else limits.high * 2 + 1
    with pytest.raises(BadInput, match=rf"^the settings that this step was given are no valid ones: {name}: "):
        load(json.dumps(chosen(**{name: beyond})))


@pytest.mark.parametrize("option", TYPED, ids=lambda option: option.field)
@pytest.mark.parametrize("side", ["low", "high"])
def test_what_is_typed_is_held_to_the_same_bounds(option: Option, side: str) -> None:
    limits = bounds()[option.field]
    beyond = limits.low - 0.5 if side == "low" else limits.high * 2
    with pytest.raises(BadInput) as caught:
        choose(options=f"{option.field}={beyond:f} protocols=tcp,udp", environment="prod")
    fault = str(caught.value)
    limit = limits.low if side == "low" else limits.high
    written = "10T" if limit == 1e13 else f"{limit:.0f}" if limit == int(limit) else f"{limit:g}"
    assert f" {written}" in fault or "bits per second" in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("rate=999999999999999999T protocols=udp", "rate must be at most 10T bit/s, got 999999999999999999T bit/s"),
        ("rate=3 streams=8 protocols=udp", "rate must be at least 1 bit/s for each of the 8 streams"),
        ("services=10001", f"services must be at most {MOST_LAB_SERVICES} in the lab, got 10001"),
        ("services=20001", "services must be at most 20000, got 20001"),
        ("seed=9007199254740993", "seed must be at most 9007199254740992, got 9007199254740993"),
        ("seed=" + "9" * 400, f"seed must be at most 9007199254740992, got '{'9' * 59}…'"),
        ("seed=" + "9" * 5000, f"seed must be a finite number, got '{'9' * 59}…'"),
        ("duration=1e999", "duration must be a finite number, got '1e999'"),
        ("idle=-0.1", "idle must be at least 0 s, got -0.1 s"),
    ],
)
def test_what_is_beyond_a_bound_is_a_sentence(options: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose(options=options)
    assert str(caught.value).startswith(sentence)


def test_a_cluster_may_have_more_services_than_the_lab() -> None:
    assert choose(options="services=20000", environment="prod").services == 20_000
    assert choose(options="services=10000").services == MOST_LAB_SERVICES


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ("lab-iptables+burden=99999999999", f"must have a burden of at most {MOST_RULES} rules"),
        ("lab-iptables+burden=100001", f"must have a burden of at most {MOST_RULES} rules"),
        ("lab-nftables+burden=0", "must say how many rules"),
        ("lab-nftables+burden=\u0663", "letters, digits"),
        ("lab-nftables+burden", "must say how many rules"),
    ],
)
def test_the_burden_of_a_twin_is_bounded(arm: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        choose(dataplanes=arm)
    with pytest.raises(BadInput, match="are no valid ones"):
        load(json.dumps(json.loads(choose().model_dump_json()) | {"dataplanes": [arm.replace("\u0663", "00")]}))


def test_a_burden_is_planned() -> None:
    heavy = choose(dataplanes=f"lab-iptables,lab-iptables+burden={MOST_RULES}", options="visits=5")
    light = choose(dataplanes="lab-iptables,lab-iptables+burden=1", options="visits=5")
    assert expected_s(heavy) - expected_s(light) == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("name", ["profile", "dataplanes", "topologies", "options", "label", "nodes", "environment"])
def test_an_endless_text_is_refused_at_once(name: str) -> None:
    texts: dict[str, Any] = {name: "x," * LONGEST_TEXT}
    with pytest.raises(BadInput, match=f"^{name} has {2 * LONGEST_TEXT} characters, and {LONGEST_TEXT} is the most$"):
        choose(**texts)


def test_the_number_of_dataplanes_is_bounded() -> None:
    twins = ",".join(f"lab-iptables+t{number}" for number in range(MOST_ARMS + 1))
    with pytest.raises(BadInput, match=f"dataplanes names {MOST_ARMS + 1}, and {MOST_ARMS} is the most"):
        choose(dataplanes=twins)


@pytest.mark.parametrize("name", ["dataplanes", "topologies"])
@pytest.mark.parametrize("text", [",", " , ,", ",,,"])
def test_a_list_of_nothing_is_not_taken_for_all(name: str, text: str) -> None:
    texts: dict[str, Any] = {name: text}
    with pytest.raises(BadInput, match=f"{name} is .* which names none: name at least one, or leave it out"):
        choose(**texts)


@pytest.mark.parametrize("visit", ["0", "-1", "999", "", "x", "1e0", "\u0661"])
def test_a_visit_that_the_plan_has_not_is_a_sentence(visit: str) -> None:
    settings = choose(profile="smoke", options="visits=1").model_dump_json()
    assert planned(settings, "04")[1].visit == 4
    with pytest.raises(BadInput, match="is none of this run's: its plan has the visits 1 to 4"):
        planned(settings, visit)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"profile": "quick"}', "\u0663", "NaN"])
def test_settings_that_are_none_are_a_sentence(text: str) -> None:
    with pytest.raises(BadInput, match="the settings that this step was given are no valid ones"):
        load(text)
