"""One visit's trials: the programs that measure, and what the machine does meanwhile."""
