-- What was not measured or does not count, and why?
select
    r.environment,
    t.run_id,
    t.visit,
    t.trial,
    v.dataplane_requested as dataplane,
    t.topology,
    t.tool,
    t.transport,
    t.direction,
    scale_text({t.scale}) as scale,
    t.outcome,
    v.proof,
    coalesce(t.error, v.proof_reason, v.error) as reason
from trials as t
join runs as r on r.run_id = t.run_id
left join visits as v on v.run_id = t.run_id and v.visit = t.visit
where
    (t.outcome is distinct from 'measured' or counts(v.proof, r.environment) is not true)
    and chosen_run(t.run_id, $run_id)
order by r.environment, t.run_id, t.trial
