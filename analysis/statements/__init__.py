"""SQL as DuckDB runs it: one statement at a time, until its end or until Ctrl-C, and the folder that it spills to."""
