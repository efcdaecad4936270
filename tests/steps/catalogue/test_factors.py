"""Factors are lists in a run's options, scales in its trials, and no part of its method."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis import domain
from analysis.errors import BadInput
from analysis.stats.path_metric import PathMetric
from analysis.store.schema import columns
from analysis.summary.run.run_models import PathItem
from steps.catalogue.factors import FACTORS, Scale, default_values, of_none, options, scales_of, varied
from steps.catalogue.options import Settings, method, settings_of
from steps.settings.settings import choose_settings, load_settings
from tests.steps.builders import RECORDED, settings
from workflows.cli.plan_document import PlannedTrial

LISTS = st.fixed_dictionaries(
    {
        "services": st.sets(st.integers(0, 1000), min_size=1, max_size=4),
        "endpoints": st.sets(st.integers(1, 50), min_size=1, max_size=3),
        "policies": st.sets(st.integers(0, 100), min_size=1, max_size=2),
        "churn_per_s": st.sets(st.integers(0, 100), min_size=1, max_size=2),
    }
)


@given(LISTS)
def test_scales_are_the_product_of_the_values_each_once(values: dict[str, set[int]]) -> None:
    found = scales_of({name: sorted(some) for name, some in values.items()})
    assert len(set(found)) == len(found)
    for scale in found:
        assert scale.services in values["services"]
        assert scale.policies in values["policies"]
        assert scale.services or (scale.endpoints, scale.churn_per_s) == (1, 0), (
            "of what is not there, there is one kind"
        )
    some = len(values["services"] - {0})
    with_services = [scale for scale in found if scale.services]
    assert len(with_services) == some * len(values["endpoints"]) * len(values["policies"]) * len(values["churn_per_s"])
    assert len(found) - len(with_services) == (0 in values["services"]) * len(values["policies"])


@pytest.mark.parametrize("name", FACTORS)
def test_factor_is_a_column_an_option_and_a_default_for_older_runs(name: str) -> None:
    assert name in {column.name for column in columns("trials")}
    (option,) = (each for each in options() if each.field == name)
    assert not option.changes_method
    assert of_none(name) == getattr(Scale(), name)
    for profile in ("smoke", "quick", "standard", "thorough", "scale"):
        for lab in (True, False):
            values = default_values(profile, is_lab=lab)[name]
            assert values
            assert profile == "scale" or len(values) == 1, "other profiles keep one scale"


@pytest.mark.parametrize("name", FACTORS)
def test_factor_is_known_to_all_that_compares_scales(name: str) -> None:
    """Trials at two values of a factor that the analysis did not know would be taken for repetitions."""
    entry = FACTORS[name]
    (known,) = (factor for factor in domain.FACTORS if factor.column == name)
    assert (known.option, known.of_services) == (entry.option or name, entry.of_services)
    for defaults in (domain.StoredScale._field_defaults, domain.Cell._field_defaults):
        assert defaults[name] == of_none(name)
    assert PathMetric.__dataclass_fields__[name].default == of_none(name)
    for document in (PathItem, PlannedTrial):
        assert name in document.model_fields, document.__name__


def test_analysis_knows_no_other_factor() -> None:
    assert {factor.column for factor in domain.FACTORS} == {*domain.StoredScale._fields} == {*FACTORS}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("services=0,45001", "services must be at most 45000, got 45001"),
        ("services=1,1", "services names a value twice: '1,1'"),
        ("services=1.5", "services must be a whole number"),
        ("endpoints=0", "endpoints must be at least 1, got 0"),
        ("services=0 churn=20", "churn is of the unused Services, and there are none: add services=1000"),
        ("services=45000 endpoints=1,50", "45000 services with 50 endpoints each are 2250000, and 250000 is the most"),
        (
            "services=1,2,3,4,5,6,7,8 endpoints=1,2,3,4,5,6,7",
            "the values of services, endpoints, policies, churn combine to 56 scales, and 50 is the most",
        ),
        ("protocols=service-added", "protocol service-added is measured on a cluster only: leave it out"),
    ],
)
def test_impossible_values_are_refused_by_a_sentence(typed: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose_settings(options=typed)
    assert str(caught.value).startswith(sentence)


def test_largest_scales_are_possible() -> None:
    chosen = choose_settings(options="services=45000,0 churn=0,20")
    assert [scale.words for scale in chosen.scales] == [
        "services=0 endpoints=1 policies=0 churn=0",
        "services=45000 endpoints=1 policies=0 churn=0",
        "services=45000 endpoints=1 policies=0 churn=20",
    ]
    assert chosen.services == 45_000
    assert varied(chosen.scales) == {"services": (0, 45_000), "churn_per_s": (0, 20)}
    assert varied(chosen.scales[:1]) == {}
    assert choose_settings(options="services=5000 endpoints=50").scales == (Scale(services=5000, endpoints=50),)


def test_scale_that_does_not_exist_is_no_scale() -> None:
    with pytest.raises(ValidationError, match="without Services there is no endpoints and no churn"):
        Scale(endpoints=2)


@pytest.mark.parametrize("services", [0, 1000])
def test_older_run_counts_with_its_services_and_its_method_has_none(services: int) -> None:
    older: dict[str, Any] = {**json.loads(settings().model_dump_json()), "services": services}
    del older["scales"]
    assert Settings.model_validate_json(json.dumps(older)).scales == (Scale(services=services),)
    newer = json.loads(settings(options="services=0,1000,5000 policies=0,7").model_dump_json())
    assert method(older) == method(newer), "a night with more scales continues the history"
    assert settings_of({**older, "findings": []}) == older
    with pytest.raises(BadInput, match="are not valid: services: Extra inputs are not permitted"):
        load_settings(json.dumps({**newer, "services": 1}))


def test_settings_that_a_real_workflow_of_before_handed_on_have_one_scale() -> None:
    text = (RECORDED / "settings-with-protocols.json").read_text()
    assert load_settings(text).scales == (Scale(services=json.loads(text)["services"]),)
