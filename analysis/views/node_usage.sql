-- CPU and memory of each node in the window of each trial that counts.
create view node_usage with (defer_binding) as
with used as (
    select
        run_id, environment, run_started_at, visit, round, trial, position, dataplane, baseline, title, colour,
        topology, tool, transport, direction, {scale}, scale, streams, offered_bps, repetition, received_bps, flags,
        unnest(nodes) as node_usage
    from measurements
)
select * exclude (node_usage), node_usage.* from used
