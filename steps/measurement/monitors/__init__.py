"""What a node does while trials run: its counters, read over HTTP, and the load of others."""
