"""Every number has one bound, checked when it is typed and again when it is loaded."""

import json
import typing
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from analysis.errors import BadInput
from steps.catalogue.arms import MOST_RULES
from steps.catalogue.factors import FACTORS
from steps.catalogue.option_fields import UNBOUNDED, Bounds, FaultError, Option, bounds_of, options_of
from steps.catalogue.options import BY_NAME, MOST_ARMS, OPTIONS, Settings
from steps.settings.schedule import planned_time
from steps.settings.settings import LONGEST_TEXT, choose_settings, load_settings
from steps.tasks.shared.step import planned_visit


def is_number(field: FieldInfo) -> bool:
    return bool({int, float} & {field.annotation, *typing.get_args(field.annotation)})


NUMBERS = [name for name, field in Settings.model_fields.items() if is_number(field)]
TYPED = [option for option in OPTIONS if option.field in NUMBERS]


def limits_of(name: str) -> Bounds:
    return bounds_of(Settings.model_fields[name])


def chosen(**changes: object) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(
        choose_settings(options="protocols=tcp,udp", environment="prod").model_dump_json()
    )
    return values | changes


def test_bounded_models_have_numbers() -> None:
    assert {"duration_s", "offered_bps", "seed", "remeasure_ratio", "block_size_bytes"} <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_minimum_and_a_maximum(name: str) -> None:
    assert limits_of(name) != UNBOUNDED


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("side", ["low", "high"])
def test_bounds_apply_to_loaded_settings(name: str, side: str) -> None:
    limits = limits_of(name)
    beyond = limits.low - 1 if side == "low" else limits.high * 2 + 1
    with pytest.raises(BadInput, match=rf"^the settings that this step was given are not valid: {name}: "):
        load_settings(json.dumps(chosen(**{name: beyond})))


@pytest.mark.parametrize("option", TYPED, ids=lambda option: option.field)
@pytest.mark.parametrize("side", ["low", "high"])
def test_bounds_apply_to_typed_options(option: Option, side: str) -> None:
    limits = limits_of(option.field)
    beyond = limits.low - 0.5 if side == "low" else limits.high * 2
    with pytest.raises(BadInput) as caught:
        choose_settings(options=f"{option.field}={beyond:f} protocols=tcp,udp", environment="prod")
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
        ("services=0,45001", "services must be at most 45000, got 45001"),
        ("services=0,x", "services must be a number, got 'x'"),
        ("services=5,1,5", "services names a value twice: '5,1,5'"),
        ("services=,", "services must be one or more of 0 to 45000, such as 0,100, got ','"),
        ("seed=9007199254740993", "seed must be at most 9007199254740992, got 9007199254740993"),
        ("seed=" + "9" * 400, f"seed must be at most 9007199254740992, got '{'9' * 59}…'"),
        ("seed=" + "9" * 5000, f"seed must be a finite number, got '{'9' * 59}…'"),
        ("duration=1e999", "duration must be a finite number, got '1e999'"),
        ("idle=-0.1", "idle must be at least 0 s, got -0.1 s"),
    ],
)
def test_value_beyond_its_bound_is_a_problem(options: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose_settings(options=options)
    assert str(caught.value).startswith(sentence)


class Toy(BaseModel):
    """Options with every kind of bound."""

    share_ratio: Annotated[float, Field(gt=0, le=1.5), Option(help="A share.")] = 1
    part_ratio: Annotated[float, Field(gt=0, lt=1), Option(help="A part.")] = 0.5
    rest_s: Annotated[float, Field(gt=0, lt=10), Option(help="A rest.")] = 1
    least_s: Annotated[int, Field(ge=3), Option(help="A least.")] = 3
    below: Annotated[int, Field(lt=8), Option(help="A number.")] = 3
    between: Annotated[int, Field(gt=2, le=8), Option(help="A number.")] = 3
    pace_bps: Annotated[float, Field(ge=0, le=1e9), Option(help="A rate.")] = 0
    free: Annotated[int, Option(help="Any.")] = 3


@pytest.mark.parametrize(
    ("name", "values", "taken", "refused", "sentence"),
    [
        ("share", "above 0 and at most 1.5", "1.5", "0", "share must be above 0, got 0"),
        ("share", "above 0 and at most 1.5", "0.1", "1.6", "share must be at most 1.5, got 1.6"),
        (
            "part",
            "above 0 and below 1",
            "0.9",
            "1",
            "part must be a share above 0 and below 1, such as 0.05 for 5 %, got '1'",
        ),
        ("rest", "above 0 s and below 10 s", "9.9s", "10", "rest must be below 10 s, got 10 s"),
        ("least", "at least 3 s", "99999", "2", "least must be at least 3 s, got 2 s"),
        ("below", "below 8", "-7", "8", "below must be below 8, got 8"),
        ("between", "above 2 and at most 8", "8", "2", "between must be above 2, got 2"),
        ("pace", "0 to 1G bit/s", "0", "2000000000", "pace must be at most 1G bit/s, got 2000000000 bit/s"),
        ("free", "", "-5", "x", "free must be a number, got 'x'"),
    ],
)
def test_bound_is_told_and_held_as_its_field_declares_it(
    name: str, values: str, taken: str, refused: str, sentence: str
) -> None:
    option = next(option for option in options_of(Toy) if option.name == name)
    assert option.values == values
    assert option.read is not None
    assert option.read(taken, option) == float(taken.removesuffix("s"))
    with pytest.raises(FaultError) as caught:
        option.read(refused, option)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", FACTORS)
def test_example_of_a_factor_is_within_its_bounds(name: str) -> None:
    option = BY_NAME[name]
    assert option.read is not None
    assert option.read(option.values.rpartition("such as ")[2], option)


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("lab-iptables+burden=99999999999", f"must have a burden of at most {MOST_RULES} rules"),
        ("lab-iptables+burden=100001", f"must have a burden of at most {MOST_RULES} rules"),
        ("lab-nftables+burden=0", "needs a number of rules"),
        ("lab-nftables+burden=\u0663", "letters, digits"),
        ("lab-nftables+burden", "needs a number of rules"),
    ],
)
def test_burden_of_a_twin_is_bounded(arm: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        choose_settings(dataplanes=arm)
    with pytest.raises(BadInput, match="are not valid"):
        load_settings(
            json.dumps(json.loads(choose_settings().model_dump_json()) | {"dataplanes": [arm.replace("\u0663", "00")]})
        )


def test_burden_adds_to_the_expected_duration() -> None:
    heavy = choose_settings(dataplanes=f"lab-iptables,lab-iptables+burden={MOST_RULES}", options="rounds=5")
    light = choose_settings(dataplanes="lab-iptables,lab-iptables+burden=1", options="rounds=5")
    rounds = planned_time(heavy).rounds[1]
    assert planned_time(heavy).expected_s - planned_time(light).expected_s == pytest.approx(2 * rounds, rel=0.1)


@pytest.mark.parametrize("name", ["profile", "dataplanes", "topologies", "options", "label", "nodes", "environment"])
def test_very_long_option_text_is_refused_quickly(name: str) -> None:
    texts: dict[str, Any] = {name: "x," * LONGEST_TEXT}
    with pytest.raises(BadInput, match=f"^{name} has {2 * LONGEST_TEXT} characters, and {LONGEST_TEXT} is the most$"):
        choose_settings(**texts)


def test_dataplane_count_is_bounded() -> None:
    twins = ",".join(f"lab-iptables+t{number}" for number in range(MOST_ARMS + 1))
    with pytest.raises(BadInput, match=f"dataplanes names {MOST_ARMS + 1}, and {MOST_ARMS} is the most"):
        choose_settings(dataplanes=twins)


@pytest.mark.parametrize("name", ["dataplanes", "topologies"])
@pytest.mark.parametrize("text", [",", " , ,", ",,,"])
def test_empty_list_is_not_taken_for_all(name: str, text: str) -> None:
    texts: dict[str, Any] = {name: text}
    with pytest.raises(BadInput, match=f"{name} is .* which names none: name at least one, or leave it out"):
        choose_settings(**texts)


@pytest.mark.parametrize("visit", ["0", "-1", "999", "", "x", "1e0", "\u0661"])
def test_unknown_visit_number_is_a_problem(visit: str) -> None:
    settings = choose_settings(profile="smoke", options="rounds=1").model_dump_json()
    assert planned_visit(settings, "04")[1].visit == 4
    with pytest.raises(BadInput, match="is not in this run's plan, which has the visits 1 to 4"):
        planned_visit(settings, visit)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"profile": "quick"}', "\u0663", "NaN"])
def test_invalid_settings_json_is_a_problem(text: str) -> None:
    with pytest.raises(BadInput, match="the settings that this step was given are not valid"):
        load_settings(text)
