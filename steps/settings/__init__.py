"""The settings of a run: parsed, completed, checked, and made into a schedule."""
