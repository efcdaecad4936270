"""The summary of a run: its headline, its comparisons, its changes and its failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import duckdb
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json as from_json_text

from analysis import flags, formatting
from analysis.domain import MARGIN_RATIO, StoredScale
from analysis.errors import BadInput
from analysis.stats import run
from analysis.stats.nights import history
from analysis.stats.nights.history import History
from analysis.stats.nights.level_since import LevelSince
from analysis.stats.nights.regressions import LevelChange
from analysis.stats.verdicts import canaries, run_judgement
from analysis.stats.verdicts.comparison import Comparison
from analysis.stats.verdicts.curves import Curve
from analysis.stats.verdicts.judgement import Family
from analysis.stats.verdicts.run_judgement import NIGHTLY
from analysis.summary.answer.answer import Answer, MeasuredAmounts, make_answer
from analysis.summary.figures import change_groups, switch_costs
from analysis.summary.figures.disclaimers import disclaimer
from analysis.summary.figures.failures import FailureCount, find_failures
from analysis.summary.figures.pooled_times import PooledTimes, find_pooled_times

RunOutcome = Literal["measured", "measured-with-failures", "nothing-measured"]


@dataclass(frozen=True, slots=True)
class SkippedChoice:
    """A dataplane or a topology that was requested and left out."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class FlagCount:
    """A flag, its meaning, and how many trials have it."""

    flag: str
    trials: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run, stored in `runs.verdict` as JSON; its answer comes first in every report.

    `headline`: the answer's sentence. `rounds`: the whole ones, none of whose visits was cut short. `answer`: None in
    runs stored before there was one. `families`: of the comparisons, which of their intervals hold together. `changes`:
    from night to night, found in `history`, which is None without a comparable night. `doubts`: sentences on what makes
    the whole run doubtful. `curves`: how each figure moves with the scale; none in a run of one scale. `programming`:
    the times until changes worked, of all visits together.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings", extra="ignore")

    run_id: str
    environment: str
    outcome: RunOutcome
    interrupted: bool
    headline: str
    baseline: str | None
    rounds: int
    trials: int
    trials_measured: int
    trials_failed: int
    trials_not_run: int
    comparisons: tuple[Comparison, ...] = ()
    families: tuple[Family, ...] = ()
    failures: tuple[FailureCount, ...] = ()
    skipped: tuple[SkippedChoice, ...] = ()
    flags: tuple[FlagCount, ...] = ()
    disclaimer: str | None = None
    answer: Answer | None = None
    trigger: str | None = None
    changes: tuple[LevelChange, ...] = ()
    history: History | None = None
    doubts: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    programming: tuple[PooledTimes, ...] = ()

    @property
    def early(self) -> str | None:
        """The sentence for a run that ended before it began every trial; None for others."""
        if not self.interrupted:
            return None
        return f"The run ended early: {self.trials_not_run} of {formatting.count(self.trials, 'trial')} never ran."

    @property
    def notice(self) -> str | None:
        """How much is missing, and what makes the run doubtful; None where nothing does."""
        parts = [self.early] if self.early else []
        if self.trials_failed:
            parts.append(f"{self.trials_failed} of {formatting.count(self.trials, 'trial')} failed.")
        parts += [f"{s.title} was left out: {s.reason.rstrip('.')}." for s in self.skipped]
        return " ".join([*parts, *self.doubts]) or None

    @property
    def alarm(self) -> str:
        """A sentence on the recent changes for the worse by the limit or more; empty where there are none."""
        return change_groups.regression_alarm(self.changes)

    @property
    def failing(self) -> str:
        """The alarm if it fails the run, which is a nightly one then; else empty."""
        return self.alarm if self.trigger == NIGHTLY else ""

    def level_since(self, c: Comparison) -> LevelSince | None:
        """The level of a comparison over the nights since its last change; None without such nights."""
        key = (c.metric, c.cell, c.dataplane, c.baseline)
        levels = self.history.levels if self.history else ()
        return next((level for level in levels if level.key == key), None)

    def of(self, metric: str) -> tuple[Comparison, ...]:
        """The comparisons with the baseline by one metric."""
        return tuple(c for c in self.comparisons if c.metric == metric and c.against_baseline)

    def answered(self, metric: str) -> tuple[Comparison, ...]:
        """Those of them at the scale of the answer, the largest."""
        largest = max((c.cell.scale for c in self.comparisons), default=StoredScale())
        return tuple(c for c in self.of(metric) if c.cell.scale == largest)


_JSON: Final = TypeAdapter(Summary)
_COUNTS: Final = """
    with ended as (
        select v.round, v.dataplane_requested, v.visit, bool_and(t.outcome <> 'not-run') as whole
        from trials t join visits v using (run_id, visit) where run_id = $run_id group by all
    ), sides as (
        select round, dataplane_requested, bool_or(whole) as whole from ended group by all
    ), cut as (
        select round from sides where round is not null group by round having not bool_and(whole)
    )
    select (select count(*) from trials where run_id = $run_id) as trials,
           (select count(*) from trials where run_id = $run_id and outcome = 'not-run') as not_run,
           count(*) as measured, count(distinct round) filter (round not in (from cut)) as rounds,
           (select max(epoch(started_at) + duration_s) from trials where run_id = $run_id)
           - (select min(epoch(started_at)) from visits where run_id = $run_id) as lasted_s
    from measurements where run_id = $run_id
"""


def to_json(summary: Summary) -> str:
    """The JSON of `runs.verdict`."""
    return _JSON.dump_json(summary).decode()


def from_json(text: str) -> Summary:
    """Read the JSON of `to_json`.

    Raises:
        BadInput: it is cut short, or not a summary of this version.
    """
    try:
        document = from_json_text(text)
    except ValueError as error:
        raise BadInput(f"the stored verdict can't be read: it is no JSON: {error}; analyse the run again") from error
    try:
        return _JSON.validate_python(_upgraded(document))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadInput(f"the stored verdict can't be read: {place}: {first['msg']}; analyse the run again") from error


def _upgraded(document: object) -> object:
    """A document of an earlier version in the terms of this one.

    Of nights, the detectable effect had another name. The intervals of version 0.1.0 each hold alone and not together,
    so only those of the differences that it found are kept: these were corrected for their number. What has another
    shape stays as it is, for the validation to name.
    """
    if not isinstance(document, dict):
        return document
    nights = document.get("history")
    if isinstance(nights, dict) and "sight" in nights:
        nights["detectable_effect"] = nights.pop("sight")
    comparisons = document.get("comparisons")
    for item in comparisons if isinstance(comparisons, list) else ():
        if isinstance(item, dict) and "margin_ratio" not in item:
            item["margin_ratio"] = MARGIN_RATIO
            if item.get("verdict") not in ("higher", "lower"):  # no set, which can't be asked for a list
                why = item.get("reason") or "an older version, which knew no margin, saw no difference"
                item |= {"verdict": "undecided", "change": None, "low": None, "high": None, "reason": why}
    return document


def summarise(con: duckdb.DuckDBPyConnection, run_id: str, method: history.Method) -> Summary:
    """Compare the figures of a run and sum them up.

    `con`: with the views of `analysis.sql.database`; `method`: returns the parameters that must be equal in comparable
    runs.

    Raises:
        BadInput: there is no such run.
    """
    about = run.load_run(con, run_id)
    judgement = run_judgement.judge_run(con, about, method)
    comparisons = judgement.comparisons
    (counts,) = run.query_rows(con, _COUNTS, run_id=run_id)
    trials, measured, not_run = counts["trials"], counts["measured"], counts["not_run"]
    failures = find_failures(con, about)
    outcome: RunOutcome = "measured" if measured == trials and not failures else "measured-with-failures"
    if measured == 0:
        outcome = "nothing-measured"
    changes, nights = history.find_history(con, about, method) if measured else ((), None)
    # the times of other tools' files span whatever lay between them
    lasted_s = counts["lasted_s"] if about.imported is None else None
    extent = MeasuredAmounts(measured, counts["rounds"], lasted_s, _confidence(judgement.families))
    answer = make_answer(about, comparisons, switch_costs.switch_costs(con, about), extent)
    return Summary(
        run_id=run_id,
        environment=about.environment,
        outcome=outcome,
        interrupted=not_run > 0,
        headline=answer.sentence,
        baseline=about.baseline.name if about.baseline else None,
        rounds=counts["rounds"],
        trials=trials,
        trials_measured=measured,
        trials_failed=trials - measured - not_run,
        trials_not_run=not_run,
        comparisons=comparisons,
        families=judgement.families,
        failures=failures,
        skipped=tuple(SkippedChoice(*skipped) for skipped in about.left_out),
        flags=_flags(con, run_id),
        disclaimer=disclaimer(about.environment),
        answer=answer,
        trigger=about.trigger,
        changes=changes,
        history=nights,
        doubts=tuple(filter(None, [canaries.canary_warning(con, run_id)])),
        curves=judgement.curves,
        programming=find_pooled_times(con, about),
    )


def _confidence(families: Sequence[Family]) -> str:
    """What the intervals of the answer claim together."""
    if not families:
        return ""
    return f"in {formatting.percent(1 - families[0].error, sign=False)} of such runs all its intervals hold together"


def _flags(con: duckdb.DuckDBPyConnection, run_id: str) -> tuple[FlagCount, ...]:
    found = run.query_rows(
        con,
        """select flag, count(*) as n from (select unnest(flags) as flag from trials where run_id = $run_id)
           group by flag order by n desc, flag""",
        run_id=run_id,
    )
    return tuple(FlagCount(r["flag"], r["n"], flags.meaning_of(r["flag"])) for r in found)
