"""Where a store's bytes are: a folder or a bucket, its address, its owner, and its errors."""
