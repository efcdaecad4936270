"""What changed from night to night: series, levels, regressions, and which nights are compared."""
