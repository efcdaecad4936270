"""What a run says: the answer to the question first, then each comparison, then everything that went wrong."""

from dataclasses import dataclass, field
from typing import Final, Literal

import duckdb
from pydantic import ConfigDict, TypeAdapter, ValidationError

from analysis import flags, formatting
from analysis.domain import CELL, Cell
from analysis.errors import BadInput
from analysis.stats import canaries, history, metrics, run
from analysis.stats.comparison import Comparison, compare_all
from analysis.stats.history import History
from analysis.stats.regressions import LevelChange
from analysis.stats.run import StoredRun
from analysis.summary import change_groups, switch_costs
from analysis.summary.headline import headline, metric_sentence

Outcome = Literal["measured", "measured-with-failures", "nothing-measured"]

NIGHTLY: Final = "nightly"
"""The trigger of the runs that a regression fails: nobody looks at them while they are green."""

LAB_DISCLAIMER: Final = (
    "Lab figures: network namespaces on one machine, not a cluster. The ratios hold on this host; they are not figures "
    "of Calico or Kubernetes, and the lab's eBPF, which does less than a product's, overstates the gain."
)


@dataclass(frozen=True, slots=True)
class FailureCount:
    """A reason and everything it stopped. `count`: trials; 0 where it failed a visit after its trials."""

    reason: str
    count: int
    where: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """How many trials it stopped, or which visits it failed, and the reason."""
        return f"{self.count} x {self.reason}" if self.count else f"{', '.join(self.where)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SkippedChoice:
    """A dataplane, or a topology, that was asked for and left out."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class FlagCount:
    """A reason for doubt and how many trials carry it."""

    flag: str
    trials: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's answer. It is kept in `runs.verdict` as JSON; `headline` is its first line in every place.

    `answers`: for each metric a sentence like the headline. `changes`: from night to night, and `history`: what they
    were looked for in; None where there was no night to compare with. `switching`: what it took to switch to each, in a
    sentence; nothing in the lab. `doubts`: sentences on what makes the run as a whole doubtful.
    """

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings", extra="ignore")

    run_id: str
    environment: str
    outcome: Outcome
    interrupted: bool
    headline: str
    baseline: str | None
    rounds: int
    trials: int
    trials_measured: int
    trials_failed: int
    trials_not_run: int
    comparisons: tuple[Comparison, ...] = ()
    failures: tuple[FailureCount, ...] = ()
    skipped: tuple[SkippedChoice, ...] = ()
    flags: tuple[FlagCount, ...] = ()
    disclaimer: str | None = None
    answers: dict[str, str] = field(default_factory=dict)
    trigger: str | None = None
    changes: tuple[LevelChange, ...] = ()
    history: History | None = None
    switching: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each comparison, in the order of metrics and paths."""
        return tuple(c.sentence for c in self.comparisons)

    @property
    def early(self) -> str | None:
        """That the run ended before it had begun every trial, if so."""
        if not self.interrupted:
            return None
        return f"The run ended early: {self.trials_not_run} of {formatting.count(self.trials, 'trial')} never ran."

    @property
    def notice(self) -> str | None:
        """What a reader must know beside the answer: how much is missing from it; None where nothing is."""
        parts = [self.early] if self.early else []
        if self.trials_failed:
            parts.append(f"{self.trials_failed} of {formatting.count(self.trials, 'trial')} failed.")
        parts += [f"{s.title} was left out: {s.reason.rstrip('.')}." for s in self.skipped]
        return " ".join([*parts, *self.doubts]) or None

    @property
    def regressions(self) -> tuple[LevelChange, ...]:
        """The changes for the worse, by the limit or more, that are news."""
        return tuple(change for change in self.changes if change.status == "regression")

    @property
    def alarm(self) -> str:
        """What is worse, where and since when, in a sentence; empty where there is no regression."""
        return change_groups.regression_alarm(self.regressions)

    @property
    def failing(self) -> str:
        """The alarm that fails the run: of a nightly one, and no other. Empty where none does."""
        return self.alarm if self.trigger == NIGHTLY else ""

    def of(self, metric: str) -> tuple[Comparison, ...]:
        """The comparisons by one metric."""
        return tuple(c for c in self.comparisons if c.metric == metric)


_JSON: Final = TypeAdapter(Summary)


def to_json(summary: Summary) -> str:
    """As it is kept in `runs.verdict`."""
    return _JSON.dump_json(summary).decode()


def from_json(text: str) -> Summary:
    """Read what `to_json` wrote.

    Raises:
        BadInput: it is not a summary of this version.
    """
    try:
        return _JSON.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadInput(f"the stored verdict can't be read: {place}: {first['msg']}; analyse the run again") from error


def summarise(con: duckdb.DuckDBPyConnection, run_id: str, method: history.Method) -> Summary:
    """Compare what a run measured and say it.

    Args:
        con: a connection with the views of `analysis.sql.database`.
        run_id: the run.
        method: what must be equal in the nights before that it is compared with.

    Raises:
        BadInput: there is no such run.
    """
    about = run.load_run(con, run_id)
    comparisons = _comparisons(con, about)
    trials, measured, not_run = _counts(con, run_id)
    failures = _failures(con, about)
    failed = trials - measured - not_run
    outcome: Outcome = "measured" if measured == trials and not failures else "measured-with-failures"
    if measured == 0:
        outcome = "nothing-measured"
    rounds = run.query_rows(
        con, "select count(distinct round) as n from measurements where run_id = $run_id", run_id=run_id
    )[0]["n"]
    changes, looked = history.find_history(con, about, method) if measured else ((), None)
    return Summary(
        run_id=run_id,
        environment=about.environment,
        outcome=outcome,
        interrupted=not_run > 0,
        headline=headline(about, comparisons, measured),
        baseline=about.baseline.name if about.baseline else None,
        rounds=rounds,
        trials=trials,
        trials_measured=measured,
        trials_failed=failed,
        trials_not_run=not_run,
        comparisons=tuple(comparisons),
        failures=failures,
        skipped=tuple(SkippedChoice(*skipped) for skipped in about.left_out),
        flags=_flags(con, run_id),
        disclaimer=LAB_DISCLAIMER if about.is_lab else None,
        answers={
            metric: sentence
            for metric in dict.fromkeys(c.metric for c in comparisons)
            if (sentence := metric_sentence(about, [c for c in comparisons if c.metric == metric]))
        },
        trigger=about.trigger,
        changes=changes,
        history=looked,
        switching=switch_costs.switch_cost_sentences(con, about),
        doubts=tuple(filter(None, [canaries.canary_warning(con, run_id)])),
    )


def _comparisons(con: duckdb.DuckDBPyConnection, about: StoredRun) -> list[Comparison]:
    if about.baseline is None:
        return []
    others = [arm.name for arm in about.arms[1:]]
    means = run.query_rows(con, "select * from visit_means where run_id = $run_id", run_id=about.run_id)
    flagged = _flags_by_side(con, about.run_id)
    comparisons: list[Comparison] = []
    for metric in metrics.COMPARED:
        if about.is_lab and not metric.in_lab:
            continue
        visits: dict[tuple[Cell, str], dict[int, float]] = {}
        for row in means:
            if row[metric.name] is not None:
                visits.setdefault((Cell.of(row), row["dataplane"]), {})[row["round"]] = row[metric.name]
        doubts = {place: flags.flag_effect(trials, metric.kind) for place, trials in flagged.items()}
        cells = {c: about.path(c, metric.title) for c in about.cells if about.has_figure(c, metric.needed_column)}
        reported = compare_all(metric, cells, about.baseline.name, others, visits, doubts)
        ruled_out = any(doubt.left_out for (cell, _), doubt in doubts.items() if cell in cells)
        if visits or ruled_out or metric.leads:
            comparisons += reported
    return comparisons


def _flags_by_side(
    con: duckdb.DuckDBPyConnection, run_id: str
) -> dict[tuple[Cell, str], list[tuple[list[str] | None, int]]]:
    """Cell and dataplane -> the flags of the trials that count, and how many carry just these."""
    found = run.query_rows(
        con,
        f"""select {CELL}, dataplane, flags, count(*) as n from measurements
            where run_id = $run_id group by all order by all""",  # noqa: S608 - the columns of a cell
        run_id=run_id,
    )
    sides: dict[tuple[Cell, str], list[tuple[list[str] | None, int]]] = {}
    for row in found:
        sides.setdefault((Cell.of(row), row["dataplane"]), []).append((row["flags"], row["n"]))
    return sides


def _counts(con: duckdb.DuckDBPyConnection, run_id: str) -> tuple[int, int, int]:
    """Trials planned, measured in a proven dataplane, and never begun."""
    planned = run.query_rows(
        con,
        """select count(*) as trials, count(*) filter (outcome = 'not-run') as not_run
           from trials where run_id = $run_id""",
        run_id=run_id,
    )[0]
    measured = run.query_rows(con, "select count(*) as n from measurements where run_id = $run_id", run_id=run_id)[0][
        "n"
    ]
    return planned["trials"], measured, planned["not_run"]


def _failures(con: duckdb.DuckDBPyConnection, about: StoredRun) -> tuple[FailureCount, ...]:
    """Each reason once, with what it stopped: trials that failed, and visits that failed before their first trial."""
    found = run.query_rows(
        con,
        """select coalesce(t.error, v.proof_reason, v.error, 'no reason was recorded') as reason, count(*) as n,
                  list(distinct struct_pack(dataplane := v.dataplane_requested, topology := t.topology,
                       tool := t.tool, transport := t.transport, direction := t.direction)) as places
           from trials t left join visits v using (run_id, visit)
           where t.run_id = $run_id and (t.outcome <> 'not-run' or t.error not like 'the run ended before %')
             and (t.outcome <> 'measured' or v.proof is distinct from 'proven')
           group by 1 order by n desc, reason""",
        run_id=about.run_id,
    )
    failures = []
    for row in found:
        places = sorted(
            f"{place['dataplane'] or 'an unknown dataplane'} on {about.path(Cell.of(place))}" for place in row["places"]
        )
        failures.append(FailureCount(row["reason"], row["n"], tuple(places)))
    reported = {failure.reason for failure in failures}
    visits = run.query_rows(
        con,
        """select error, list(dataplane_requested order by visit) as dataplanes from visits
           where run_id = $run_id and error is not null
             and exists (select 1 from trials t where t.run_id = visits.run_id and t.visit = visits.visit
                                                  and t.outcome <> 'not-run')
           group by error order by min(visit)""",
        run_id=about.run_id,
    )
    failures += [
        FailureCount(row["error"], 0, tuple(dict.fromkeys(f"a visit of {name}" for name in row["dataplanes"])))
        for row in visits
        if row["error"] not in reported
    ]
    return tuple(failures)


def _flags(con: duckdb.DuckDBPyConnection, run_id: str) -> tuple[FlagCount, ...]:
    found = run.query_rows(
        con,
        """select flag, count(*) as n from (select unnest(flags) as flag from trials where run_id = $run_id)
           group by flag order by n desc, flag""",
        run_id=run_id,
    )
    return tuple(FlagCount(r["flag"], r["n"], flags.meaning_of(r["flag"])) for r in found)
