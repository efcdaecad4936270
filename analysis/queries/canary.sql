-- Did the machine or the network change between visits of a dataplane? (node to node, before the first trial and after the last)
select
    r.environment,
    v.run_id,
    v.visit,
    v.round,
    v.dataplane_requested as dataplane,
    v.started_at,
    v.canary_before_bps,
    v.canary_after_bps,
    v.canary_after_bps / nullif(v.canary_before_bps, 0) as after_to_before_ratio
from visits as v
join runs as r on r.run_id = v.run_id
where chosen_run(v.run_id, $run_id)
order by r.environment, v.run_id, v.visit
