-- What did the last run of each environment measure?
select
    m.environment,
    m.run_id,
    m.topology,
    m.tool,
    m.transport,
    m.direction,
    m.scale,
    m.dataplane,
    count(*) as visits,
    sum(m.flagged)::bigint as flagged_trials,
    sum(m.cpu_left_out)::bigint as cpu_left_out,
    geometric_mean(m.received_bps) as received_bps,
    avg(m.cpu_s_per_gbit) as cpu_s_per_gbit,
    avg(m.loss_ratio) as loss_ratio,
    avg(m.connect_p50_s) as connect_p50_s
from visit_means as m
join latest_runs as l on l.run_id = m.run_id
where $environment::varchar is null or m.environment = $environment::varchar
group by all
order by all
