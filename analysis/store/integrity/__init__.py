"""Checks of a store's files against what was written, and what is left out where they differ.

Every function that has a store's files raises Unsupported where they can't be read.
"""
