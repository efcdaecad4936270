-- CPU and memory of each node in each visit, with nothing sent.
create view idle_usage with (defer_binding) as
with used as (
    select
        v.run_id, r.environment, r.started_at as run_started_at, v.visit, v.round,
        v.dataplane_requested as dataplane, v.proof, unnest(v.idle_nodes) as node_usage
    from visits as v
    join runs as r on r.run_id = v.run_id
)
select * exclude (node_usage), node_usage.* from used
