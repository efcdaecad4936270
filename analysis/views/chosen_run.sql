-- Whether a run is the one that a question is about: the one given, or else the last of each environment.
create macro chosen_run(id, given) as
id = given::varchar or (given::varchar is null and id in (select l.run_id from latest_runs as l))
