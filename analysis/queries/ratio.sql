-- What share of node-to-node throughput does each path reach in the same visit?
with control as (
    select
        run_id, visit, tool, transport, direction, streams, offered_bps, received_bps as control_bps,
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
    m.dataplane,
    count(*) as visits,
    sum(m.throughput_flagged + c.throughput_flagged)::bigint as throughput_flagged,
    geometric_mean(m.received_bps / c.control_bps) as of_node_to_node_ratio
from visit_means as m
join control as c
    on c.run_id = m.run_id
    and c.visit = m.visit
    and c.tool = m.tool
    and c.transport = m.transport
    and c.streams is not distinct from m.streams
    and c.offered_bps is not distinct from m.offered_bps
    and (c.direction = m.direction or m.topology = 'external-to-nodeport')
where
    m.topology <> 'node-to-node'
    and c.control_bps > 0
    and chosen_run(m.run_id, $run_id)
group by all
order by all
