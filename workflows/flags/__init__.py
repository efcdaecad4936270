"""What a person may type, derived from the options of a run."""
