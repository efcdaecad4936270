# ruff: noqa: S608 - the SQL is put together from names of flags, metrics and the schema
"""The SQL of the views: macros, the trials without the figures that flags void, and the files of `views/`."""

import functools
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Final, Literal

from analysis.domain import FACTORS, SCALE, Factor, StoredScale
from analysis.flags import BY_NAME, FLAGS, KINDS, NODE_FIELDS, FigureKind
from analysis.metrics import METRICS
from analysis.store.schema import NODE_USAGE

VIEWS: Final = ("measurements", "visit_means", "node_usage", "idle_usage", "evidence", "latest_runs")
"""The views, each in `views/NAME.sql`; each comes after those that it reads."""

Effect = Literal["voids", "marks"]

MACROS: Final = ("geometric_mean", "scale_text", "counts", "chosen_run")
"""Functions that views and questions use, each in `views/NAME.sql`."""

_NAMES: Final = "list_transform(coalesce(flags, []), lambda flag: split_part(flag, ':', 1))"
"""The names of a trial's flags; behind a colon stands what a flag is about."""


@functools.cache
def statements() -> list[str]:
    """The statements that create each macro and view, to execute in this order, once the tables exist.

    `voids(flags, kind)` and `marks(flags, kind)` are those of `analysis.flags`; `usable_trials` is `trials` without
    void figures.

    A view is bound when it is first read (`defer_binding`): to bind all of them, of 150 columns each, takes DuckDB as
    long as all else that opens a store.
    """
    return [
        f"create macro flag_names(flags) as {_NAMES}",
        f"create macro voids(flags, kind) as list_has_any(flag_names(flags), {_by_kind('voids')})",
        (
            f"create macro marks(flags, kind) as list_has_any(flag_names(flags), {_by_kind('marks')}) "
            f"or not list_has_all({_list(BY_NAME)}, flag_names(flags))"
        ),
        f"create view usable_trials with (defer_binding) as {_usable_trials()}",
        *map(_from_file, ("geometric_mean", "scale_text", "counts", *VIEWS, "chosen_run")),  # the last reads a view
    ]


def words(sql: str) -> set[str]:
    """The words of SQL, among them the names of what it reads."""
    return set(re.findall(r"\w+", sql.lower()))


def _usable_trials() -> str:
    """The trials without void figures.

    Each effect of the flags is worked out once a row, and not once a figure: DuckDB expands a view wherever it is
    used, and what it then reads through are these expressions.
    """
    kinds = {name: metric.kind for metric in METRICS for name in metric.made_of}
    usable = [f"case when not void_{kind} then t.{name} end as {name}" for name, kind in kinds.items()]
    usable.append(f"list_transform(t.nodes, lambda n: {_usable_node()}) as nodes")
    effects = [f"list_has_any(names, {_effect(kind, 'voids')}) as void_{kind}" for kind in KINDS]
    hidden = ", ".join(["names", *(f"void_{kind}" for kind in KINDS)])
    return (
        f"select * exclude ({hidden}) replace ({', '.join(usable)}) "
        f"from (select *, {', '.join(effects)} from (select *, {_NAMES} as names from trials)) as t"
    )


def _from_file(name: str) -> str:
    """`views/NAME.sql`, with `{metrics}` and `{flagged_trials}` filled in from the metrics."""
    sql = resources.files("analysis").joinpath("views", f"{name}.sql").read_text()
    # As doubles, since DuckDB sums whole numbers to ones that Python gets as decimals.
    metrics = ",\n    ".join(f"({metric.visit_sql})::double as {metric.name}" for metric in METRICS)
    sql = sql.replace("{metrics}", metrics).replace("{flagged_trials}", ",\n    ".join(_flagged_trials()))
    known = (f"coalesce(t.{f.column}, {_of_none(f)})::{_sql_type(f)} as {f.column}" for f in FACTORS)
    sql = sql.replace("{known_scale}", ",\n        ".join(known))
    in_order = sorted(FACTORS, key=lambda factor: StoredScale._fields.index(factor.column))
    return with_scale(sql.replace("{scale_in_words}", " || ".join(map(_in_words, in_order))))


def with_scale(sql: str) -> str:
    """SQL with the columns of a scale in the place of `{scale}`, and those of table `t` in that of `{t.scale}`."""
    return sql.replace("{scale}", SCALE).replace("{t.scale}", ", ".join(f"t.{name}" for name in StoredScale._fields))


def _of_none(factor: Factor) -> float:
    value: float = StoredScale._field_defaults[factor.column]
    return value


def _sql_type(factor: Factor) -> str:
    return "double" if isinstance(_of_none(factor), float) else "int"


def _in_words(factor: Factor) -> str:
    """A factor as the option that gives it, empty where it has its default; the first one in any case."""
    column, default = factor.column, _of_none(factor)
    if column == StoredScale._fields[0]:
        return f"'{factor.option}=' || coalesce({column}, {default})"
    value = f"printf('%g', {column})" if isinstance(default, float) else column
    begins = f" {factor.option}="
    return f"case when {column} <> {default} then '{begins}' || {value} else '' end"


def _flagged_trials() -> Iterator[str]:
    """For each kind of metric, how many trials are in its figures with a flag, or left out because of one."""
    kinds = {metric.kind for metric in METRICS}
    for kind in (kind for kind in KINDS if kind in kinds):
        void = f"list_has_any(names, {_effect(kind, 'voids')})"
        marked = f"(list_has_any(names, {_effect(kind, 'marks')}) or not list_has_all({_list(BY_NAME)}, names))"
        yield f"count(*) filter ({marked} and not {void}) as {kind}_flagged"
        yield f"count(*) filter ({void}) as {kind}_left_out"


def _by_kind(effect: Effect) -> str:
    cases = " ".join(f"when '{kind}' then {_effect(kind, effect)}" for kind in KINDS)
    return f"case kind {cases} end"


def _effect(kind: FigureKind, effect: Effect) -> str:
    """The flags that have this effect on figures of this kind."""
    return _list(flag.name for flag in FLAGS if kind in getattr(flag, effect))


def _list(names: Iterable[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"[{quoted}]::varchar[]"


def _usable_node() -> str:
    kinds: dict[str, FigureKind] = {name: kind for kind, names in NODE_FIELDS.items() for name in names}
    fields = [NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)]
    parts = (
        f"{name} := case when not void_{kinds[name]} then n.{name} end" if name in kinds else f"{name} := n.{name}"
        for name in fields
    )
    return f"struct_pack({', '.join(parts)})"
