"""What verbs print in the terminal, in 80 columns."""
