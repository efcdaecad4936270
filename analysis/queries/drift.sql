-- Does it matter how late in its visit a trial comes? (1: the average of its cell and dataplane in that run)
with relative as (
    select
        environment,
        run_id,
        position,
        flags,
        received_bps / nullif(avg(received_bps) over (
            partition by run_id, dataplane, topology, tool, transport, direction, scale, streams, offered_bps
        ), 0) as to_mean_ratio
    from measurements
    where received_bps is not null
)
select
    environment,
    run_id,
    position,
    count(*) as trials,
    count(*) filter (marks(flags, 'throughput')) as throughput_flagged,
    avg(to_mean_ratio) as to_mean_ratio,
    stddev_samp(to_mean_ratio) as spread_ratio
from relative
where chosen_run(run_id, $run_id)
group by all
order by all
