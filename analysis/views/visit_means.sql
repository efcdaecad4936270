-- One row for each run, visit and cell, which has its scale: the visit is the unit of replication, so its trials become one figure here.
-- The metrics are those of analysis/metrics. Beside them stands how many trials
-- entered them with a flag, or were left out of them because of one.
create view visit_means with (defer_binding) as
select
    run_id,
    environment,
    any_value(label) as label,
    run_started_at,
    visit,
    any_value(round) as round,
    dataplane,
    any_value(baseline) as baseline,
    any_value(title) as title,
    any_value(colour) as colour,
    topology,
    tool,
    transport,
    direction,
    {scale},
    scale,
    streams,
    offered_bps,
    min(started_at) as started_at,
    count(*) as trials,
    count(*) filter (len(flags) > 0) as flagged,
    {flagged_trials},
    {metrics}
from (select *, flag_names(flags) as names from measurements)
group by all
