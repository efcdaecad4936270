"""The program that observes a node from within, and its reports."""
