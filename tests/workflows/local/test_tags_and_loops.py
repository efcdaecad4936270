import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from workflows.local.semantics.loops import expand_loop, parse_items
from workflows.local.semantics.tags import FORMS, Unresolved, form_of, render, render_all, tags_in


def test_tags_are_replaced_in_every_field() -> None:
    known = {"a": "1", "b.c": "two"}
    assert render_all({"x": ["{{a}}", {"y": "{{ b.c }}-{{a}}"}], "n": 3}, known) == {"x": ["1", {"y": "two-1"}], "n": 3}
    assert list(tags_in({"x": ["{{a}}", "{{ b.c }}"]})) == ["a", "b.c"]


@given(st.text())
def test_replaced_values_are_not_expanded_again(value: str) -> None:
    assert render("{{a}}|{{b}}", {"a": value, "b": "{{a}}"}) == f"{value}|{{{{a}}}}"


def test_unknown_tag_error() -> None:
    with pytest.raises(Unresolved, match=r"\{\{tasks.a.x\}\} can't be resolved: a failed"):
        render("{{tasks.a.x}}", {}, {"tasks.": "no", "tasks.a.": "a failed"})


@pytest.mark.parametrize("form", FORMS)
def test_template_tag_form_is_found(form: str) -> None:
    assert form_of(form.replace("*", "client-node")) == form


@pytest.mark.parametrize(
    "tag",
    ["workflow.namespace", "item", "tasks.a.outputs.result", "inputs.artifacts.a.path", "workflow.parameters.a.b"],
)
def test_template_tag_that_only_argo_replaces_has_no_form(tag: str) -> None:
    assert form_of(tag) is None


@pytest.mark.parametrize(
    ("item", "name", "tags"),
    [
        ({"k": "text"}, "(0:k:text)", {"item.k": "text"}),
        ({"k": "a(b)c"}, "(0:k:abc)", {"item.k": "a(b)c"}),
        (
            {"visit": "1", "dataplane": "ebpf"},
            "(0:dataplane:ebpf,visit:1)",
            {"item.visit": "1", "item.dataplane": "ebpf"},
        ),
    ],
)
def test_loop_item_names(item: dict[str, str], name: str, tags: dict[str, str]) -> None:
    (only,) = expand_loop([item])
    assert only.suffix == name
    assert only.values == tags


@given(st.lists(st.dictionaries(st.text(min_size=1), st.text()), max_size=5))
def test_loop_items_from_json(items: list[dict[str, str]]) -> None:
    assert parse_items(json.dumps(items)) == items


@pytest.mark.parametrize("text", ["", "{}", "nothing", "[1", "null"])
def test_loop_over_a_non_list_is_a_problem(text: str) -> None:
    with pytest.raises(Problem, match="could not be parsed as a JSON list"):
        parse_items(text)


@pytest.mark.parametrize("item", ["1", '"text"', "null", "[]", '{"visit": 1}'])
def test_loop_over_something_else_than_texts_is_a_sentence(item: str) -> None:
    with pytest.raises(Problem, match=r"item 1 of the loop is .* only objects of texts are supported"):
        parse_items(f'[{{"visit": "1"}}, {item}]')
