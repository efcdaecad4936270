"""Configuration texts of other programs: read, and edited without other changes."""
