"""What a run came to, in sentences and figures: for the report, the terminal, JSON and a notification."""
