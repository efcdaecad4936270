-- Which signs show which dataplane carried the traffic of each visit?
select
    environment,
    run_id,
    visit,
    round,
    dataplane_requested,
    dataplane_observed,
    proof,
    proof_reason,
    moment,
    node,
    looked_at,
    seen,
    indicates
from evidence
where chosen_run(run_id, $run_id)
order by environment, run_id, visit, moment = 'after', node, looked_at
