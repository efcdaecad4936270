"""A comparison of runs as Markdown, to paste into a pull request."""

from collections.abc import Iterable, Iterator, Sequence

from analysis.console.markdown import code, escape, link, table
from analysis.console.sanitizing import strip_controls
from analysis.stats.contrasts.beside import Beside
from analysis.summary.contrast import wording
from analysis.summary.contrast.run_contrast import ComparedSide, RunContrast
from analysis.summary.contrast.wording import TableRow

_MOST_BESIDE = 12


def to_markdown(found: RunContrast, report: str = "") -> str:
    """What else differed first, then the table of the leading metrics, and all others folded.

    `report`: the address of the comparison's page; empty: left out.
    """
    sides = wording.columns(found.contrasts, found.arms)
    names = wording.titles(found.arms)
    heads = ["", *(escape(names[arm.name]) for arm in sides)]
    others = wording.table(found.contrasts, found.arms, leading=False)
    paragraphs = [
        f"**{escape(found.headline)}**",
        escape(found.disclaimer or ""),  # beside the headline, which is often pasted without what follows
        f"A is {_side(found.a)}. B is {_side(found.b)}.",
        "\n".join(_beside(found.beside)),
        *map(escape, found.notes),
        f"{escape(wording.caption(found.contrasts, found.arms))}.",
        table(heads, _rows(wording.table(found.contrasts, found.arms))),
        escape(wording.legend(found.contrasts, found.margin_ratio)),
        *map(escape, found.left_out),
    ]
    if others:
        inside = table(heads, _rows(others))
        paragraphs.append(f"<details><summary>Other metrics</summary>\n\n{inside}\n\n</details>")
    if report:
        paragraphs.append(link("The whole comparison", report))
    return strip_controls("\n\n".join(text for text in paragraphs if text.strip()) + "\n")


def _side(side: ComparedSide) -> str:
    shown = ", ".join(f"{code(run.run_id)} ({escape(run.began)})" for run in side.runs)
    several = f"{code(side.asked)}, {len(side.runs)} runs: " if len(side.runs) > 1 else ""
    return f"{several}{shown} in {escape(side.environment or 'an unnamed environment')}"


def _beside(facts: Sequence[Beside]) -> Iterator[str]:
    if facts:
        yield "What else differed, A → B:"
        yield ""
        yield from (f"- {escape(fact.text)}" for fact in facts[:_MOST_BESIDE])
        if len(facts) > _MOST_BESIDE:
            yield f"- {len(facts) - _MOST_BESIDE} more"


def _rows(rows: Iterable[TableRow]) -> Iterator[list[str]]:
    for row in rows:
        yield [escape(row.title), *("<br>".join(escape(line.text) for line in cell) for cell in row.cells)]
