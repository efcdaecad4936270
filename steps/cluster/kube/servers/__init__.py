"""The servers of a visit: where they run, how they are reached, and what stands in their way."""
