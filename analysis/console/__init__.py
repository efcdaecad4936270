"""Output for the terminal: tables, notices, and commands to type."""
