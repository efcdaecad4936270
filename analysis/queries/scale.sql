-- How do the figures of each dataplane move with the number of Services, endpoints, policies and changes of endpoints?
with visits as (
    select
        *,
        first_value(received_bps) over curve as first_bps,
        first_value(connect_p50_s) over curve as first_connect_s,
        first_value(response_p50_s) over curve as first_response_s,
        first_value(cpu_s_per_gbit) over curve as first_cpu
    from visit_means
    where chosen_run(run_id, $run_id)
    window curve as (
        partition by run_id, visit, topology, tool, transport, direction, streams, offered_bps
        order by {scale}
    )
)
select
    environment,
    run_id,
    topology,
    tool,
    transport,
    direction,
    dataplane,
    {scale},
    count(*) as visits,
    sum(flagged)::bigint as flagged_trials,
    geometric_mean(received_bps) as received_bps,
    geometric_mean(connect_p50_s) as connect_p50_s,
    geometric_mean(response_p50_s) as response_p50_s,
    avg(cpu_s_per_gbit) as cpu_s_per_gbit,
    geometric_mean(received_bps / nullif(first_bps, 0)) as throughput_to_smallest_ratio,
    geometric_mean(connect_p50_s / nullif(first_connect_s, 0)) as connect_to_smallest_ratio,
    geometric_mean(response_p50_s / nullif(first_response_s, 0)) as response_to_smallest_ratio,
    geometric_mean(cpu_s_per_gbit / nullif(first_cpu, 0)) as cpu_to_smallest_ratio
from visits
group by all
order by all
