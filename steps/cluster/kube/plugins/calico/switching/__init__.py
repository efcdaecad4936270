"""Which fields a dataplane sets, in which order, and how they are written."""
