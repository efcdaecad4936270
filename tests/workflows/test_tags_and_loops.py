import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import Problem
from workflows.local.loops import aggregate, expand, parse_items
from workflows.local.nodes import Node, Outputs
from workflows.local.tags import Unresolved, only_tag, render, render_all, tags_in


def test_tags_are_replaced_wherever_they_stand() -> None:
    known = {"a": "1", "b.c": "two"}
    assert render_all({"x": ["{{a}}", {"y": "{{ b.c }}-{{a}}"}], "n": 3}, known) == {"x": ["1", {"y": "two-1"}], "n": 3}
    assert list(tags_in({"x": ["{{a}}", "{{ b.c }}"]})) == ["a", "b.c"]
    assert only_tag(" {{a}} ") == "a"
    assert only_tag("{{a}}b") is None


@given(st.text())
def test_a_value_is_not_looked_at_again(value: str) -> None:
    assert render("{{a}}|{{b}}", {"a": value, "b": "{{a}}"}) == f"{value}|{{{{a}}}}"


def test_an_unknown_tag_says_why() -> None:
    with pytest.raises(Unresolved, match=r"\{\{tasks.a.x\}\} can't be resolved: a failed"):
        render("{{tasks.a.x}}", {}, {"tasks.": "no", "tasks.a.": "a failed"})
    with pytest.raises(Unresolved, match="was skipped"):
        render("{{tasks.a.x}}", {"tasks.a.x": None})


@pytest.mark.parametrize(
    ("item", "name", "tags"),
    [
        ("text", "(0:text)", {"item": "text"}),
        ("a(b)c", "(0:abc)", {"item": "a(b)c"}),
        (7, "(0:7)", {"item": "7"}),
        (True, "(0:true)", {"item": "true"}),
        (
            {"visit": 1, "dataplane": "ebpf"},
            "(0:dataplane:ebpf,visit:1)",
            {"item": '{"dataplane":"ebpf","visit":1}', "item.visit": "1", "item.dataplane": "ebpf"},
        ),
        (
            {"nested": {"b": [1, "x"], "a": None}},
            '(0:nested:{"a":null,"b":[1,"x"]})',
            {"item": '{"nested":{"a":null,"b":[1,"x"]}}', "item.nested": '{"a":null,"b":[1,"x"]}'},
        ),
        (["a", 1], "(0:[a 1])", {"item": '["a",1]'}),
    ],
)
def test_an_item_is_named_and_shown_as_argo_does(item: object, name: str, tags: dict[str, str]) -> None:
    (only,) = expand([item])
    assert only.suffix == name
    assert only.values == tags


@given(st.lists(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.booleans()), max_size=5))
def test_items_come_back_from_json(items: list[dict[str, object]]) -> None:
    for given_item, passed in zip(items, expand(parse_items(json.dumps(items))), strict=True):
        assert json.loads(passed.values["item"]) == given_item


@pytest.mark.parametrize("text", ["", "{}", "nothing", "[1", "null"])
def test_a_loop_over_no_list_is_a_sentence(text: str) -> None:
    with pytest.raises(Problem, match="could not be parsed as a JSON list"):
        parse_items(text)


def _node(phase: str, result: str | None = None, **parameters: str) -> Node:
    node = Node("n", "n", "t", "Pod", outputs=Outputs(dict(parameters), result))
    node.phase = phase  # type: ignore[assignment]
    return node


def test_a_loop_adds_up_what_succeeded() -> None:
    tags = aggregate("x", [_node("Succeeded", "1", y="1"), _node("Failed", "2", y="2"), _node("Succeeded", "3", y="a")])
    assert tags == {
        "tasks.x.outputs.parameters": '[{"y":"1"},{"y":"a"}]',
        "tasks.x.outputs.parameters.y": '["1","a"]',
        "tasks.x.outputs.result": "[1,3]",
    }


def test_a_loop_in_which_all_failed_has_no_single_output() -> None:
    assert aggregate("x", [_node("Failed", y="2")]) == {
        "tasks.x.outputs.parameters": "[]",
        "tasks.x.outputs.result": "[]",
    }


def test_results_that_are_no_json_are_absent() -> None:
    assert "tasks.x.outputs.result" not in aggregate("x", [_node("Succeeded", "not json")])
