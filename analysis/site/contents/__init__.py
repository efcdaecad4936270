"""What a site shows, read from a whole store: runs, verdicts, environments, changes and trends."""
