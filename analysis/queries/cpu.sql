-- What does a gigabit cost in CPU time, and where is it spent? (left out: trials of which a flag voids that figure)
select
    environment,
    run_id,
    topology,
    tool,
    transport,
    direction,
    scale,
    dataplane,
    node,
    side,
    any_value(cores) as cores,
    count(*) as trials,
    count(*) filter (marks(flags, 'cpu') and not voids(flags, 'cpu')) as cpu_flagged,
    count(*) filter (voids(flags, 'cpu')) as cpu_left_out,
    count(*) filter (voids(flags, 'cpu_modes')) as modes_left_out,
    avg(busy_ratio) as busy_ratio,
    avg(busy_above_idle_ratio) as busy_above_idle_ratio,
    avg(user_ratio) as user_ratio,
    avg(system_ratio) as system_ratio,
    avg(softirq_ratio) as softirq_ratio,
    avg(steal_ratio) as steal_ratio,
    avg(busy_above_idle_ratio * cores / nullif(received_bps / 1e9, 0)) as node_cpu_s_per_gbit
from node_usage
where chosen_run(run_id, $run_id)
group by all
order by all
