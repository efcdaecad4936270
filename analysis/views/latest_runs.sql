-- The last run of each environment.
create view latest_runs as
select environment, max_by(run_id, started_at) as run_id, max(started_at) as run_started_at
from runs
group by environment
