-- The trials that count: measured, in a visit whose dataplane is proven, or that another tool measured, which proves none;
-- with all that a comparison needs beside them.
-- A figure that one of its trial's flags voids is null here; `usable_trials` and the macros follow from analysis/flags.py.
create view measurements as
with sides as (
    select
        run_id,
        unnest(from_json(parameters -> '$.dataplanes', '["json"]')) as side
    from runs
),
titles as (
    select
        run_id,
        side ->> '$.name' as dataplane,
        any_value(side ->> '$.title') as title,
        any_value(side ->> '$.colour') as colour
    from sides
    group by all
)
select
    t.* replace (
        coalesce(t.services, 0)::int as services,
        coalesce(t.endpoints, 1)::int as endpoints,
        coalesce(t.policies, 0)::int as policies,
        coalesce(t.churn_per_s, 0)::double as churn_per_s
    ),
    scale_text(t.services, t.endpoints, t.policies, t.churn_per_s) as scale,
    r.environment,
    r.parameters ->> '$.label' as label,
    r.parameters ->> '$.profile' as profile,
    r.started_at as run_started_at,
    v.round,
    v.dataplane_requested as dataplane,
    coalesce(r.parameters ->> '$.dataplanes[0].name', r.parameters ->> '$.dataplanes[0]') as baseline,
    coalesce(s.title, v.dataplane_requested) as title,
    s.colour
from usable_trials as t
join visits as v on v.run_id = t.run_id and v.visit = t.visit
join runs as r on r.run_id = t.run_id
left join titles as s on s.run_id = t.run_id and s.dataplane = v.dataplane_requested
where t.outcome = 'measured' and counts(v.proof, r.environment)
