-- How much does each dataplane carry on each path, and how far do its visits lie apart?
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
    sum(throughput_flagged)::bigint as throughput_flagged,
    sum(throughput_left_out)::bigint as throughput_left_out,
    geometric_mean(received_bps) as received_bps,
    min(received_bps) as lowest_bps,
    max(received_bps) as highest_bps,
    geometric_mean(sent_bps) as sent_bps
from visit_means
where
    received_bps is not null
    and chosen_run(run_id, $run_id)
group by all
order by all
