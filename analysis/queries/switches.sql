-- What does switching to a dataplane cost?
select
    r.environment,
    v.run_id,
    v.dataplane_requested as dataplane,
    count(*) as visits,
    count(*) filter (v.proof = 'proven') as proven,
    median(v.switch_s) as switch_s,
    median(v.settle_s) as settle_s,
    max(v.switch_s + v.settle_s) as longest_s,
    sum(v.connections_dropped)::bigint as connections_dropped,
    sum(v.connections_held)::bigint as connections_held,
    max(v.tcp_longest_gap_s) as tcp_longest_gap_s,
    max(v.udp_longest_gap_s) as udp_longest_gap_s,
    sum(v.udp_probe_lost_packets) / nullif(sum(v.udp_probe_sent_packets), 0) as udp_probe_lost_ratio
from visits as v
join runs as r on r.run_id = v.run_id
where chosen_run(v.run_id, $run_id)
group by all
order by all
