"""Two groups of runs compared: what else differed, what is common, and the contrasts of its figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from analysis import formatting
from analysis.domain import LAB, MARGIN_RATIO, Cell
from analysis.errors import BadInput
from analysis.stats import scales
from analysis.stats.arms import RunArm
from analysis.stats.contrasts import beside
from analysis.stats.contrasts.beside import Beside
from analysis.stats.contrasts.contrast import Contrast
from analysis.stats.contrasts.figures import Compared, SideRows, contrasted_figures, read_side
from analysis.stats.contrasts.group_contrasts import contrast_all
from analysis.stats.contrasts.run_groups import RunGroup
from analysis.stats.verdicts.judgement import Family
from analysis.summary.contrast.wording import basis_sentence, headline, titles
from analysis.summary.figures.disclaimers import disclaimer


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run of a side. `began`: as text."""

    run_id: str
    began: str
    label: str


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """A side: the text that named it, its environment and its runs."""

    asked: str
    environment: str
    runs: tuple[ComparedRun, ...]


@dataclass(frozen=True, slots=True)
class RunContrast:
    """The comparison of the runs B with the runs A.

    Attributes:
        headline: the result, in a sentence.
        a: the side that is compared with.
        b: the side that is compared.
        arms: the dataplanes that both have, by their names in A, the baseline first.
        beside: what else differed.
        notes: sentences on what the comparison claims and cannot exclude.
        left_out: sentences on what is not compared, and why.
        contrasts: in the order of metrics, paths and dataplanes; of a dataplane the figure itself first.
        families: which of their intervals hold together.
        margin_ratio: how much counts as the same.
    """

    headline: str
    a: ComparedSide
    b: ComparedSide
    arms: tuple[RunArm, ...]
    beside: tuple[Beside, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    families: tuple[Family, ...]
    margin_ratio: float

    @property
    def disclaimer(self) -> str | None:
        """What the figures of a side are not, if it was measured in the lab or by another tool."""
        return disclaimer(self.a.environment, self.b.environment)


def contrast_groups(con: duckdb.DuckDBPyConnection, a: RunGroup, b: RunGroup, compared: Compared) -> RunContrast:
    """Compare the runs `b` with the runs `a`; `con`: a connection with the views of `analysis.sql.database`.

    Raises:
        BadInput: they have a run, or all quantities, or nothing at all in common that could be compared.
    """
    if shared := sorted({*a.run_ids} & {*b.run_ids}):
        raise BadInput(f"A and B have {shared[0]} in common: a run can't be compared with itself; name other runs")
    sides, scale_facts = _at_one_scale(read_side(con, a), read_side(con, b))
    names = _common_dataplanes(*sides)
    differing = beside.method_differences(a, b, compared.method, compared.names)
    cells, left_out = _common_cells(sides, differing, compared)
    absolute = LAB not in {a.environment, b.environment}
    if len(names) == 1 and not absolute:
        raise BadInput(
            f"A and B have only the dataplane {next(iter(names))} in common, and figures of the lab can be compared "
            "between moments only as ratios to another dataplane's: measure two dataplanes on both sides"
        )
    found = contrasted_figures(con, sides, names, cells, compared)
    margin_ratio = b.runs[-1].parameters.get("margin_ratio") or MARGIN_RATIO
    contrasts, families = contrast_all(found, list(names), margin_ratio, absolute=absolute)
    arms = tuple(a.runs[0].arm(name) for name in names)
    of_method = (*scale_facts, *differing.values())
    facts = (
        *of_method,
        *beside.provenance_differences(a, b, {fact.name for fact in of_method}),
        *beside.load_differences(con, a, b),
        *beside.time_differences(a, b),
    )
    return RunContrast(
        headline=headline(contrasts, titles(arms), margin_ratio),
        a=_side(a),
        b=_side(b),
        arms=arms,
        beside=facts,
        notes=tuple(_notes(a, b, names, contrasts, compared, of_method)),
        left_out=(*left_out, *_dataplanes_left_out(sides, names)),
        contrasts=contrasts,
        families=families,
        margin_ratio=margin_ratio,
    )


def _side(group: RunGroup) -> ComparedSide:
    runs = tuple(
        ComparedRun(
            one.run_id,
            f"{one.started_at:%Y-%m-%d %H:%M} UTC" if one.started_at else beside.UNKNOWN,
            one.parameters.get("label") or "",
        )
        for one in group.runs
    )
    return ComparedSide(group.asked, group.environment, runs)


def _at_one_scale(a: SideRows, b: SideRows) -> tuple[tuple[SideRows, SideRows], list[Beside]]:
    """The sides; where each measured at one scale, and these differ, B as if at that of A, and what differs."""
    if a.scales == b.scales or not len(a.scales) == len(b.scales) == 1:
        return (a, b), []
    (one,), (two,) = a.scales, b.scales
    facts = [
        Beside("method", factor.option, *(scales.number(scales.value_of(scale, factor)) for scale in (one, two)))
        for factor in scales.varied([one, two])
    ]
    return (a, replace(b, scale=one)), facts


def _common_dataplanes(a: SideRows, b: SideRows) -> dict[str, str]:
    """The name in A of each dataplane that both measured, the baseline first -> its name in B.

    Between the lab and a cluster the lab's `lab-ebpf` stands beside `ebpf`.
    """
    one, two = (_measured_arms(side) for side in (a, b))
    mixed = (a.group.environment == LAB) != (b.group.environment == LAB)
    known = {_kind(name) if mixed else name: name for name in reversed(two)}
    common = {name: known[key] for name in one if (key := _kind(name) if mixed else name) in known}
    if not common:
        raise BadInput(
            f"A and B measured no dataplane in common: A {formatting.listing(one) or 'none'}, B "
            f"{formatting.listing(two) or 'none'}"
        )
    return common


def _measured_arms(side: SideRows) -> list[str]:
    """The dataplanes that have a visit that counts, in the order of the runs."""
    measured = {name for _, name in side.measured}
    return [name for name in _arms(side) if name in measured]


def _arms(side: SideRows) -> list[str]:
    return list(dict.fromkeys(arm.name for one in side.group.runs for arm in one.arms))


def _kind(name: str) -> str:
    return name.removeprefix(f"{LAB}-")


def _common_cells(
    sides: tuple[SideRows, SideRows], differing: Mapping[str, Beside], compared: Compared
) -> tuple[list[Cell], list[str]]:
    """The cells that both measured, of which the figures are the same quantity; and sentences on the others.

    Raises:
        BadInput: there is none.
    """
    one, two = sides
    there = [{cell for cell, _ in side.measured} for side in sides]
    left_out = []
    for name, side, other, own in (("A", one, two, there[0]), ("B", two, one, there[1])):
        left_out += _listed(f"Measured in {name} only", side, [c for c in side.planned if c not in other.planned])
        nothing = [cell for cell in side.planned if cell in other.planned and cell not in own]
        left_out += _listed(f"{name} measured nothing on {formatting.count(len(nothing), 'path')}", side, nothing)
    common = [cell for cell in one.planned if cell in there[0] & there[1]]
    if not common:
        raise BadInput(f"A and B measured no path in common. {' '.join(left_out)}".strip())
    changed = (
        {} if compared.any_method else {name: differing[name] for name in compared.quantities if name in differing}
    )
    for name, fact in changed.items():
        other_quantity = tuple(compared.quantities[name])
        others = [cell for cell in common if " ".join(cell.measured_by).startswith(other_quantity)]
        common = [cell for cell in common if cell not in others]
        left_out += _listed(f"Not compared, since {fact.name} {_was(fact)}", one, others)
    if not common:
        raise BadInput(
            f"A and B measured different quantities: {'; '.join(f'{f.name} {_was(f)}' for f in changed.values())}. "
            "Measure both alike, or compare them all the same with ANY_METHOD=1 (--any-method)"
        )
    return common, left_out


def _listed(what: str, side: SideRows, cells: Sequence[Cell]) -> list[str]:
    """A sentence on these cells; none where there are none."""
    return [f"{what}: {formatting.listing([side.path(cell) for cell in cells])}."] if cells else []


def _was(fact: Beside) -> str:
    return f"is {fact.a} in A and {fact.b} in B" if fact.a != fact.b else f"is {fact.a} in either"


def _dataplanes_left_out(sides: tuple[SideRows, SideRows], names: Mapping[str, str]) -> Iterable[str]:
    for name, side, other, known in (("A", *sides, set(names)), ("B", *sides[::-1], set(names.values()))):
        others = [arm for arm in _arms(side) if arm not in known]
        nothing = [arm for arm in others if arm not in _measured_arms(side)]
        only = [arm for arm in others if arm not in nothing and arm not in _arms(other)]
        if nothing:
            yield f"{name} measured nothing with {formatting.listing(nothing)}."
        if only:
            yield f"Measured in {name} only: {formatting.listing(only)}."


def _notes(
    a: RunGroup,
    b: RunGroup,
    names: Mapping[str, str],
    contrasts: Sequence[Contrast],
    compared: Compared,
    differing: Sequence[Beside],
) -> Iterable[str]:
    """What the comparison claims and cannot exclude."""
    if differing:
        listed = formatting.listing([f"{fact.name} {_was(fact)}" for fact in differing])
        yield f"The method differs: {listed}. What is found may be that, or anything else that differed."
    if basis := basis_sentence(contrasts, (len(a.runs), len(b.runs))):
        yield basis
    if LAB in {a.environment, b.environment}:
        yield (
            "Figures of the lab itself drift by a tenth in an hour, so only each dataplane's ratio to the baseline is "
            "compared, in which that cancels."
        )
    if others := [side for side, group in (("A", a), ("B", b)) if group.runs[-1].imported is not None]:
        yield (
            f"Another tool measured {formatting.listing(others)}: which dataplane carried the traffic is not proven "
            "there, and visits, order and other load are known as far as its files say."
        )
    if a.environment != b.environment:
        yield (
            f"{a.environment} and {b.environment} are two environments: their machines, networks and versions are in "
            "each difference of a figure itself, and less so in ratios to the baseline."
        )
    baselines = {own: group.runs[-1].baseline for own, group in (("A", a), ("B", b))}
    for side, arm in baselines.items():
        own = next(iter(names)) if side == "A" else next(iter(names.values()))
        if arm is not None and arm.name != own:
            yield f"The baseline of {side} is {arm.name}; here ratios are to {next(iter(names))}, which both have."
    if compared.any_method:
        yield "Figures are compared even where an option makes them another quantity, as asked for by any-method."
