"""Configuration texts and environments of other programs: read, and edited without other changes."""
