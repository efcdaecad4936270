"""Network policies that may keep the benchmark's pods from each other: read, and named."""
