-- The trials that count: measured, in a visit whose dataplane is proven, or that another tool measured, which proves none;
-- with all that a comparison needs beside them.
-- A figure that one of its trial's flags voids is null here; `usable_trials` and the macros follow from analysis/flags.py.
create view measurements with (defer_binding) as
with about as (
    select
        run_id,
        environment,
        started_at,
        parameters ->> '$.label' as label,
        parameters ->> '$.profile' as profile,
        coalesce(parameters ->> '$.dataplanes[0].name', parameters ->> '$.dataplanes[0]') as baseline,
        list_transform(
            from_json(parameters -> '$.dataplanes', '["json"]'),
            lambda side: {'name': side ->> '$.name', 'title': side ->> '$.title', 'colour': side ->> '$.colour'}
        ) as sides
    from runs
)
select
    t.* replace (
        {known_scale}
    ),
    scale_text({t.scale}) as scale,
    r.environment,
    r.label,
    r.profile,
    r.started_at as run_started_at,
    v.round,
    v.dataplane_requested as dataplane,
    r.baseline,
    coalesce(
        list_filter(r.sides, lambda side: side.name = v.dataplane_requested)[1].title, v.dataplane_requested
    ) as title,
    list_filter(r.sides, lambda side: side.name = v.dataplane_requested)[1].colour as colour
from usable_trials as t
join visits as v on v.run_id = t.run_id and v.visit = t.visit
join about as r on r.run_id = t.run_id
where t.outcome = 'measured' and counts(v.proof, r.environment)
