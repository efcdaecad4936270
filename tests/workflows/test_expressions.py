import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import BadInput
from workflows.local.expressions import (
    RESULTS,
    Both,
    Either,
    Ended,
    Leaf,
    Not,
    Tree,
    condition_of,
    evaluate,
    parse_depends,
    tasks_in,
    when_holds,
)

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
leaves = st.builds(Ended, names, st.sampled_from(RESULTS).map(lambda result: (result,)))
trees: st.SearchStrategy[Tree] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.builds(Not, inner), st.builds(Both, inner, inner), st.builds(Either, inner, inner)),
    max_leaves=12,
)


def written(tree: Tree) -> str:
    match tree:
        case Ended(task, (result,)):
            return f"{task}.{result}"
        case Not(of):
            return f"!({written(of)})"
        case Both(left, right):
            return f"({written(left)}) && ({written(right)})"
        case Either(left, right):
            return f"({written(left)}) || ({written(right)})"
    raise AssertionError(tree)


def python(tree: Tree, truth: Mapping[str, bool]) -> bool:
    """Python's own idea of the same condition, with its own precedence."""
    text = written(tree).replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    for name in sorted(truth, key=len, reverse=True):
        text = text.replace(name, str(truth[name]))
    return bool(eval(text))


@given(trees)
def test_what_is_written_is_read_back(tree: Tree) -> None:
    assert parse_depends(written(tree)) == tree


@given(trees, st.sets(st.sampled_from(RESULTS)))
def test_it_means_what_python_means(tree: Tree, true: set[str]) -> None:
    def holds(leaf: Leaf) -> bool:
        assert isinstance(leaf, Ended)
        return leaf.results[0] in true

    truth = {f"{leaf}": leaf.split(".")[1] in true for leaf in _leaves_of(tree)}
    assert evaluate(tree, holds) is python(tree, truth)


def _leaves_of(tree: Tree) -> set[str]:
    match tree:
        case Ended():
            return {written(tree)}
        case Not(of):
            return _leaves_of(of)
        case Both(left, right) | Either(left, right):
            return _leaves_of(left) | _leaves_of(right)
    raise AssertionError(tree)


@given(st.text(alphabet="ab.&|!() -", max_size=20))
def test_anything_else_is_no_other_error(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert tasks_in(parse_depends(text))


def test_and_binds_closer_than_or_and_not_closest() -> None:
    assert parse_depends("a.Failed || b.Failed && !c.Failed") == Either(
        Ended("a", ("Failed",)), Both(Ended("b", ("Failed",)), Not(Ended("c", ("Failed",))))
    )


def test_a_bare_name_means_that_it_went_well() -> None:
    assert parse_depends("a-b") == Ended("a-b", ("Succeeded", "Skipped", "Daemoned"))
    assert tasks_in(parse_depends("b && a.Failed && b.Skipped")) == ("b", "a")
    assert condition_of({"dependencies": ["a", "b"]}) == parse_depends("a && b")
    assert condition_of({}) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.Succeded", "Succeded"),
        ("a &&", "ends too early"),
        ("(a", "not closed"),
        ("a b", "'b' comes where"),
        ("a & b", "'& b' can't be read"),
        ("&& a", "comes where a task should"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says.replace("(", r"\(")):
        parse_depends(text)


def test_both_fields_at_once_are_refused() -> None:
    with pytest.raises(BadInput, match="both depends and dependencies"):
        condition_of({"depends": "a", "dependencies": ["b"]})


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("Succeeded == Succeeded", True),
        ("Succeeded != Succeeded", False),
        ("'lab-ebpf' == \"lab-ebpf\"", True),
        ("'it\\'s' == \"it's\"", True),
        ("'' == ''", True),
        ("1 == 1.0", True),
        ("1 == '1'", False),
        ("true == 'true'", False),
        ("true", True),
        ("!(a == b) && (1 == 2 || c == c)", True),
    ],
)
def test_when(when: str, *, holds: bool) -> None:
    assert when_holds(when) is holds


@pytest.mark.parametrize("when", ["lab-ebpf == lab-ebpf", "== a", "a", "1 < 2", "a ==", "", "'open == x"])
def test_a_when_that_argo_would_refuse_is_refused(when: str) -> None:
    with pytest.raises(BadInput, match="when"):
        when_holds(when)
