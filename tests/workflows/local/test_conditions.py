import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from workflows.local.semantics.conditions import (
    RESULTS,
    Joined,
    TaskEnded,
    Tree,
    condition_of,
    evaluate,
    parse_depends,
    tasks_in,
    when_holds,
)
from workflows.local.semantics.nodes import Phase

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
leaves = st.builds(TaskEnded, names, st.sampled_from(list(RESULTS.values())).map(lambda phase: (phase,)))
trees: st.SearchStrategy[Tree] = st.recursive(
    leaves,
    lambda inner: st.builds(Joined, st.sampled_from(["&&", "||"]), inner, inner),
    max_leaves=12,
)
RESULT_OF = {phase: result for result, phase in RESULTS.items()}


def written(tree: Tree) -> str:
    match tree:
        case TaskEnded(task, (phase,)):
            return f"{task}.{RESULT_OF[phase]}"
        case Joined(operator, left, right):
            return f"({written(left)}) {operator} ({written(right)})"
    raise AssertionError(tree)


def python(text: str, truth: Mapping[str, bool]) -> bool:
    """Python's own idea of the same condition, with its own precedence."""
    text = text.replace("&&", " and ").replace("||", " or ")
    for name in sorted(truth, key=len, reverse=True):
        text = text.replace(name, str(truth[name]))
    return bool(eval(text))


@given(trees)
def test_expression_round_trip(tree: Tree) -> None:
    assert parse_depends(written(tree)) == tree


@given(
    st.lists(st.sampled_from(["a.Failed", "b.Succeeded", "c.Errored", "d.Omitted"]), min_size=1, max_size=6),
    st.lists(st.sampled_from([" && ", " || "]), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([*RESULTS.values(), "Skipped"])),
)
def test_expression_evaluates_as_python(conditions: list[str], signs: list[str], phases: dict[str, Phase]) -> None:
    text = "".join(sum(zip(signs, conditions, strict=False), ())[1:])
    truth = {c: phases.get(c[0]) == RESULTS[c[2:]] for c in conditions}
    assert evaluate(parse_depends(text), phases) is python(text, truth)


@given(st.text(alphabet="ab.&|!() -", max_size=20))
def test_any_text_parses_or_raises_a_problem(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert tasks_in(parse_depends(text))


def test_and_binds_closer_than_or() -> None:
    assert parse_depends("a.Failed || b.Failed && c.Failed") == Joined(
        "||", TaskEnded("a", ("Failed",)), Joined("&&", TaskEnded("b", ("Failed",)), TaskEnded("c", ("Failed",)))
    )


def test_bare_task_name_means_succeeded() -> None:
    assert parse_depends("a-b") == TaskEnded("a-b", ("Succeeded", "Skipped"))
    assert tasks_in(parse_depends("b && a.Failed && b.Omitted")) == ("b", "a")
    assert condition_of({"depends": "a"}) == parse_depends("a")
    assert condition_of({}) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.Succeded", "'Succeded' is no supported result"),
        ("a.AnySucceeded", "'AnySucceeded' is no supported result"),
        ("a.AllFailed", "'AllFailed' is no supported result"),
        ("a.Daemoned", "'Daemoned' is no supported result"),
        ("!a", "'!a' can't be read"),
        ("a &&", "ends too early"),
        ("(a", "not closed"),
        ("a b", "'b' is where"),
        ("a & b", "'& b' can't be read"),
        ("&& a", "is where a task should"),
    ],
)
def test_expression_error_is_named(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says.replace("(", r"\(")):
        parse_depends(text)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("Failed != Succeeded", True),
        ("Failed == Succeeded", False),
        ("Skipped==Skipped", True),
        ("Succeeded != Succeeded", False),
        (" a1!=a1 ", False),
    ],
)
def test_when_expressions(when: str, *, holds: bool) -> None:
    assert when_holds(when) is holds


@pytest.mark.parametrize(
    "when",
    ["lab-ebpf != lab-ebpf", "!= a", "a", "a = b", "'a' != b", "1 != 2", "a !=", "", "a != b && c != d", "true"],
)
def test_unsupported_when_expression_is_refused(when: str) -> None:
    with pytest.raises(BadInput, match=r"when .* is not a supported condition: only WORD == WORD and WORD != WORD are"):
        when_holds(when)
