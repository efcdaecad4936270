"""Configuration as text: read and edited as the structure that it is."""
