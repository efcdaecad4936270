-- How much of what was sent by UDP was lost?
select
    environment,
    run_id,
    topology,
    tool,
    direction,
    scale,
    offered_bps,
    dataplane,
    count(*) as trials,
    count(*) filter (marks(flags, 'loss')) as loss_flagged,
    avg(sent_bps) as sent_bps,
    avg(received_bps) as received_bps,
    sum(lost_packets)::bigint as lost_packets,
    sum(total_packets)::bigint as total_packets,
    sum(lost_packets) / nullif(sum(total_packets), 0) as loss_ratio,
    avg(jitter_s) as jitter_s
from measurements
where
    transport = 'udp'
    and lost_packets is not null
    and total_packets is not null
    and chosen_run(run_id, $run_id)
group by all
order by all
