"""The interactive report: the report's charts with tooltips, choices, and every trial behind each mark.

One HTML file that needs nothing else: Vega and the figures are packed in it. The page's policy lets these two scripts
run and nothing besides; expressions of the charts are interpreted, never compiled.
"""

import base64
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from analysis import flags, formatting
from analysis.charts import ChartData, Drawing, Specs, trials_by_metric
from analysis.charts.drawing.theme import LAYOUTS, config
from analysis.console.documents import plain
from analysis.domain import CELL
from analysis.flags import KINDS
from analysis.metrics.metric import Metric
from analysis.stats import run
from analysis.stats.verdicts.comparison import Comparison
from analysis.summary.run.summary import Summary

SCRIPT: Final = Path(__file__).with_name("interactive.js")
VEGA: Final = Path(__file__).with_name("vega.js.gz")
STYLE: Final = SCRIPT.with_suffix(".css")


def context(data: ChartData, drawings: Iterable[Drawing], summary: Summary) -> dict[str, Any]:
    """What the page's template needs, beside what both pages have."""
    drawn = [drawing for drawing in drawings if drawing.specs]
    every_trial, of_metrics = trials_by_metric(data)
    script, vega = SCRIPT.read_text(encoding="utf-8"), VEGA.read_bytes()
    paths = list(dict.fromkeys(data.run.path(cell) for cell in data.run.cells))
    return {
        "drawings": drawn,
        "own_style": Markup(STYLE.read_text(encoding="utf-8")),  # noqa: S704 - this project's own file
        "metrics": [metric for metric, _ in of_metrics],
        "paths": paths,
        "policy": _policy(gzip.decompress(vega).decode(), script),
        "script": Markup(script),  # noqa: S704 - this project's own file
        "vega": base64.b64encode(vega).decode(),
        "figures": _packed(
            _charts(drawn, every_trial)
            | {
                "paths": paths,
                "metrics": {metric.name: _metric(metric, rows) for metric, rows in of_metrics},
                "trials": _trials(data, [metric for metric, _ in of_metrics]),
                "comparisons": [_told(data, c) for c in summary.comparisons],
            }
        ),
    }


def _policy(*scripts: str) -> str:
    hashes = " ".join(map(_hash, scripts))
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@cache
def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'"


def _packed(document: Mapping[str, Any]) -> str:
    text = json.dumps(plain(document), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def _charts(drawings: Iterable[Drawing], every_trial: Specs) -> dict[str, Any]:
    """The charts and their rows; that of every trial has none, since the page fills it."""
    rows: dict[str, Any] = {}
    return {
        "charts": {drawing.chart.name: _moved(drawing.specs, rows) for drawing in drawings},
        "rows": rows,
        "every_trial": _moved(every_trial, {}),
        "looks": {layout.name: config(layout) for layout in LAYOUTS},
    }


def _metric(metric: Metric, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unit = next((row["unit"] for row in rows), "")
    size = formatting.multiple(unit)
    return {"title": metric.title, "kind": metric.kind, "unit": unit, "size": size, "rows": rows}


def _told(data: ChartData, c: Comparison) -> dict[str, str]:
    against = "" if c.against_baseline else f" against {c.baseline}"
    return {
        "metric": c.metric,
        "cell": data.run.path(c.cell),
        "dataplane": data.run.arm(c.dataplane).title,
        "text": f"{c.dataplane}{against}: {c.answer}",
    }


def _moved(specs: Specs, rows: dict[str, Any]) -> dict[str, Any]:
    """A chart without its rows, which are moved into `rows`: all layouts share them. `data`: the names of its rows."""
    data = {name: found for spec in specs.values() for name, found in spec["datasets"].items()}
    rows |= data
    layouts = {
        layout: {name: value for name, value in spec.items() if name not in {"datasets", "config"}}
        for layout, spec in specs.items()
    }
    return {"data": list(data), "looks": layouts}


def _trials(data: ChartData, used: Iterable[Metric]) -> list[dict[str, Any]]:
    """Every trial, with a value for each metric that it has, and the kinds of figures that its flags void and mark."""
    columns = "".join(f", cast({metric.trial_sql} as double) as {metric.name}" for metric in used)
    found = data.query(
        f"""with visited as (
                select t.* replace ({run.OUTCOME} as outcome), v.round, v.dataplane_requested, v.proof_reason
                from trials as t left join visits as v using (run_id, visit) left join runs as r using (run_id)
                where t.run_id = $run_id)
            select trial, visit, round, dataplane_requested, position, repetition, outcome, flags, {CELL},
                   case when outcome <> 'measured' then coalesce(error, proof_reason, outcome) end as error{columns}
            from visited order by trial"""  # noqa: S608 - names of this program
    )
    titles = {arm.name: arm.title for arm in data.run.arms}
    return [
        {
            **{name: row[name] for name in ("trial", "visit", "round", "position", "repetition")},
            "dataplane": titles.get(row["dataplane_requested"], row["dataplane_requested"] or "unknown"),
            "path": data.path(row),
            **data.run.cell(row).scale._asdict(),
            "outcome": row["outcome"],
            "error": row["error"],
            "flags": row["flags"] or [],
            "voids": [kind for kind in KINDS if flags.is_voided(row["flags"], kind)],
            "marks": [kind for kind in KINDS if flags.is_marked(row["flags"], kind)],
            "values": {metric.name: row[metric.name] for metric in used if row[metric.name] is not None},
        }
        for row in found
    ]
