-- Which runs are there, and what came of them?
select
    r.environment,
    r.run_id,
    r.started_at,
    round(epoch(r.finished_at - r.started_at), 1) as lasted_s,
    r.trigger,
    r.parameters ->> '$.profile' as profile,
    nullif(r.parameters ->> '$.label', '') as label,
    count(t.trial) as trials,
    count(t.trial) filter (t.outcome = 'measured') as measured,
    count(t.trial) filter (t.outcome = 'failed') as failed,
    count(t.trial) filter (t.outcome = 'not-run') as not_run
from runs as r
left join trials as t on t.run_id = r.run_id
where $environment::varchar is null or r.environment = $environment::varchar
group by all
order by r.started_at desc, r.run_id
