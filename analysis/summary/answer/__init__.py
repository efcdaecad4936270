"""The answer of a run: which dataplane is best for each kind of traffic, how sure that is, in words."""
