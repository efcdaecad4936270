"""The evidence on each node for the dataplane that runs there."""
