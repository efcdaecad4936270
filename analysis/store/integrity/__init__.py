"""Checks of a store's files against what was written, and what is left out where they differ."""
