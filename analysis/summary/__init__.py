"""The result of a run in sentences and figures, for the report, the terminal, JSON and notifications."""
