-- How much memory do the nodes use under load, and with nothing sent?
with loaded as (
    select
        environment, run_id, dataplane, node, avg(memory_used_bytes) as loaded_bytes,
        count(*) filter (marks(flags, 'memory')) as memory_flagged
    from node_usage
    group by all
),
idle as (
    select environment, run_id, dataplane, node, avg(memory_used_bytes) as idle_bytes
    from idle_usage
    where counts(proof, environment)
    group by all
)
select environment, run_id, dataplane, node, idle_bytes, loaded_bytes, memory_flagged
from loaded
full join idle using (environment, run_id, dataplane, node)
where chosen_run(run_id, $run_id)
order by all
