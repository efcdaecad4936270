"""The store: Parquet files in a folder or a bucket, written whole, checked as they are read."""
