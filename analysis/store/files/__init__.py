"""A store's files: Parquet and its pages, and rows as Arrow tables."""
