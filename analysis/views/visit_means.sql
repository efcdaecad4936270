-- One row for each run, visit and cell: the visit is the unit of replication, so its trials become one figure here.
create view visit_means as
select
    run_id,
    environment,
    any_value(label) as label,
    run_started_at,
    visit,
    any_value(round) as round,
    dataplane,
    any_value(baseline) as baseline,
    any_value(title) as title,
    any_value(colour) as colour,
    topology,
    protocol,
    direction,
    streams,
    offered_bps,
    min(started_at) as started_at,
    count(*) as trials,
    count(*) filter (len(flags) > 0) as flagged,
    geometric_mean(received_bps) as received_bps,
    geometric_mean(sent_bps) as sent_bps,
    avg(cpu_s_per_gbit) as cpu_s_per_gbit,
    sum(lost_packets) filter (total_packets > 0) / sum(total_packets) filter (lost_packets is not null) as loss_ratio,
    avg(jitter_s) as jitter_s,
    avg(retransmits) as retransmits,
    avg(rtt_s) as rtt_s,
    avg(connects_per_s) as connects_per_s,
    avg(connect_p50_s) as connect_p50_s,
    avg(connect_p99_s) as connect_p99_s,
    avg(nat_bytes_per_payload_byte) as nat_bytes_per_payload_byte
from measurements
group by all
