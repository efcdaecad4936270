-- How long does a response take, alone and beside a load?
select
    environment,
    run_id,
    topology,
    tool,
    transport,
    scale,
    dataplane,
    count(*) as trials,
    count(*) filter (marks(flags, 'response')) as response_flagged,
    count(*) filter (voids(flags, 'response')) as response_left_out,
    avg(load_ratio) as load_ratio,
    median(response_p50_s) as response_p50_s,
    median(response_p99_s) as response_p99_s,
    median(response_p999_s) as response_p999_s,
    max(response_worst_s) as response_worst_s,
    avg(transactions_per_s) as transactions_per_s
from measurements
where
    transactions_per_s is not null
    and chosen_run(run_id, $run_id)
group by all
order by all
