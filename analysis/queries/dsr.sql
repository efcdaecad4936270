-- Does the answer pass through the NodePort's node? (about 1 byte a payload byte: tunnelled back; about 0: direct)
select
    environment,
    run_id,
    topology,
    tool,
    transport,
    direction,
    scale,
    dataplane,
    count(*) as trials,
    count(*) filter (marks(flags, 'return_path')) as return_path_flagged,
    median(nat_bytes_per_payload_byte) as nat_bytes_per_payload_byte,
    min(nat_bytes_per_payload_byte) as lowest,
    max(nat_bytes_per_payload_byte) as highest
from measurements
where
    nat_bytes_per_payload_byte is not null
    and chosen_run(run_id, $run_id)
group by all
order by all
