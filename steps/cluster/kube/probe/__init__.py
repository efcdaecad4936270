"""The program that looks at a node from within, and what it reports."""
