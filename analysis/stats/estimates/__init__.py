"""Differences of two dataplanes, their estimates and intervals, and when to stop. Pure."""
