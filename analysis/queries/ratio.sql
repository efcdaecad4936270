-- What share of the host network's throughput does each path reach, in the same seconds and by node to node in the same visit?
with host as (
    select
        run_id, visit, tool, transport, direction, scale, streams, offered_bps, received_bps as host_bps,
        throughput_flagged
    from visit_means
    where topology = 'node-to-node'
)
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
    sum(m.throughput_flagged + coalesce(h.throughput_flagged, 0))::bigint as throughput_flagged,
    geometric_mean(m.host_network_ratio) as of_host_network_ratio,
    geometric_mean(m.received_bps / h.host_bps) as of_node_to_node_ratio
from visit_means as m
left join host as h
    on h.run_id = m.run_id
    and h.visit = m.visit
    and h.tool = m.tool
    and h.transport = m.transport
    and h.scale = m.scale
    and h.streams is not distinct from m.streams
    and h.offered_bps is not distinct from m.offered_bps
    and (h.direction = m.direction or m.topology = 'external-to-nodeport')
where
    m.topology <> 'node-to-node'
    and (h.host_bps > 0 or m.host_network_ratio is not null)
    and chosen_run(m.run_id, $run_id)
group by all
order by all
