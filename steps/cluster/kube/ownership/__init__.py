"""Who owns the cluster: the lock, the snapshot in it, and the workflow that may take it."""
