-- How far do identical measurements lie apart, within a visit and between visits?
with visits_of_cells as (
    select
        environment,
        run_id,
        topology,
        tool,
        transport,
        direction,
        scale,
        streams,
        offered_bps,
        dataplane,
        visit,
        avg(received_bps) as mean_bps,
        stddev_samp(received_bps) as spread_bps,
        count(*) filter (marks(flags, 'throughput')) as flagged
    from measurements
    where received_bps > 0
    group by all
)
select
    environment,
    run_id,
    topology,
    tool,
    transport,
    direction,
    scale,
    streams,
    offered_bps,
    dataplane,
    count(*) as visits,
    sum(flagged)::bigint as throughput_flagged,
    avg(mean_bps) as received_bps,
    avg(spread_bps / mean_bps) as within_visits_ratio,
    stddev_samp(mean_bps) / avg(mean_bps) as between_visits_ratio
from visits_of_cells
where chosen_run(run_id, $run_id)
group by all
order by all
