"""Two groups of runs, A against B: which runs, their figures, and what differs beside them."""
