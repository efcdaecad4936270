# ruff: noqa: S608 - the SQL is put together from names of flags, metrics and the schema
"""The SQL of the views: macros, the trials without the figures that flags void, and the files of `views/`."""

from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Final, Literal

from analysis.flags import BY_NAME, FLAGS, KINDS, NODE_FIELDS, Kind
from analysis.stats.metrics import METRICS
from analysis.store.schema import NODE_USAGE

VIEWS: Final = ("measurements", "visit_means", "node_usage", "idle_usage", "evidence", "latest_runs")
"""The views, each in `views/NAME.sql`; each comes after those that it reads."""

MACROS: Final = ("geometric_mean", "scale_text", "counts", "chosen_run")
"""Functions that views and questions use, each in `views/NAME.sql`."""


def statements() -> Iterator[str]:
    """The statements to execute in this order, once the tables exist.

    `voids(flags, kind)` and `marks(flags, kind)` are those of `analysis.flags`; `usable_trials` is `trials` without
    void figures.
    """
    names = "list_transform(coalesce(flags, []), lambda f: split_part(f, ':', 1))"
    yield f"create macro voids(flags, kind) as list_has_any({names}, {_by_kind('voids')})"
    yield (
        f"create macro marks(flags, kind) as list_has_any({names}, {_by_kind('marks')}) "
        f"or not list_has_all({_list(BY_NAME)}, {names})"
    )
    kinds = {name: metric.kind for metric in METRICS for name in metric.columns}
    columns = [_usable(f"t.{name}", name, kind) for name, kind in kinds.items()]
    columns.append(f"list_transform(t.nodes, lambda n: {_usable_node()}) as nodes")
    yield f"create view usable_trials as select * replace ({', '.join(columns)}) from trials as t"
    for name in ("geometric_mean", "scale_text", "counts", *VIEWS, "chosen_run"):  # which reads a view
        yield _from_file(name)


def _from_file(name: str) -> str:
    """`views/NAME.sql`, with `{metrics}` and `{flagged_trials}` filled in from the metrics."""
    sql = resources.files("analysis").joinpath("views", f"{name}.sql").read_text()
    metrics = ",\n    ".join(f"{metric.visit_sql} as {metric.name}" for metric in METRICS)
    return sql.replace("{metrics}", metrics).replace("{flagged_trials}", ",\n    ".join(_flagged_trials()))


def _flagged_trials() -> Iterator[str]:
    """For each kind of metric, how many trials are in its figures with a flag, or left out because of one."""
    kinds = {metric.kind for metric in METRICS}
    for kind in (kind for kind in KINDS if kind in kinds):
        yield f"count(*) filter (marks(flags, '{kind}') and not voids(flags, '{kind}')) as {kind}_flagged"
        yield f"count(*) filter (voids(flags, '{kind}')) as {kind}_left_out"


def _by_kind(effect: Literal["voids", "marks"]) -> str:
    cases = " ".join(
        f"when '{kind}' then {_list(flag.name for flag in FLAGS if kind in getattr(flag, effect))}" for kind in KINDS
    )
    return f"case kind {cases} end"


def _list(names: Iterable[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"[{quoted}]::varchar[]"


def _usable(expression: str, name: str, kind: Kind) -> str:
    return f"case when not voids(t.flags, '{kind}') then {expression} end as {name}"


def _usable_node() -> str:
    kinds: dict[str, Kind] = {name: kind for kind, names in NODE_FIELDS.items() for name in names}
    fields = [NODE_USAGE.field(i).name for i in range(NODE_USAGE.num_fields)]
    parts = (
        f"{name} := case when not voids(t.flags, '{kinds[name]}') then n.{name} end"
        if name in kinds
        else f"{name} := n.{name}"
        for name in fields
    )
    return f"struct_pack({', '.join(parts)})"
