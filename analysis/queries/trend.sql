-- Night by night: what did each dataplane carry on each path, and at what price?
select
    environment,
    topology,
    tool,
    transport,
    direction,
    scale,
    streams,
    offered_bps,
    dataplane,
    run_started_at,
    run_id,
    count(*) as visits,
    sum(flagged)::bigint as flagged_trials,
    sum(cpu_left_out)::bigint as cpu_left_out,
    geometric_mean(received_bps) as received_bps,
    avg(cpu_s_per_gbit) as cpu_s_per_gbit,
    avg(loss_ratio) as loss_ratio,
    avg(connect_p50_s) as connect_p50_s
from visit_means
where
    ($environment::varchar is null or environment = $environment::varchar)
    and ($topology::varchar is null or topology = $topology::varchar)
    and ($tool::varchar is null or tool = $tool::varchar)
    and ($transport::varchar is null or transport = $transport::varchar)
    and ($dataplane::varchar is null or dataplane = $dataplane::varchar)
group by all
order by environment, topology, tool, transport, direction, scale, streams, offered_bps, dataplane, run_started_at, run_id
