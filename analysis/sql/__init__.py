"""The store as a DuckDB database: its views, queries as tables, and a prompt."""
