"""The verdicts of one run: comparisons of its dataplanes, curves over scales, and canaries."""
