-- The last run of each environment. One whose time is unknown, as of an imported run, counts as the earliest.
create view latest_runs with (defer_binding) as
select
    environment,
    max_by(run_id, coalesce(started_at, '0001-01-01 00:00:00+00'::timestamptz)) as run_id,
    max(started_at) as run_started_at
from runs
group by environment
