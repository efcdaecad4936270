"""What a run is asked for: read, completed, checked, and made into a schedule."""
