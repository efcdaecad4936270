-- How long does it take to open a TCP connection, at each scale?
select
    environment,
    run_id,
    topology,
    tool,
    scale,
    dataplane,
    count(*) as trials,
    count(*) filter (marks(flags, 'connect')) as connect_flagged,
    median(connect_p50_s) as connect_p50_s,
    median(connect_p99_s) as connect_p99_s,
    median(connect_p999_s) as connect_p999_s,
    avg(connects_per_s) as connects_per_s
from measurements
where
    connect_p50_s is not null
    and chosen_run(run_id, $run_id)
group by all
order by all
