-- The signs by which each visit's dataplane was proven, disproven or neither, one a row.
create view evidence with (defer_binding) as
with signs as (
    select
        v.run_id, r.environment, v.visit, v.round, v.dataplane_requested, v.dataplane_observed, v.proof, v.proof_reason,
        unnest(v.evidence) as sign
    from visits as v
    join runs as r on r.run_id = v.run_id
)
select * exclude (sign), sign.* from signs
