"""From raw documents to the rows of the store."""

Row = dict[str, object]
"""A row of a table, by its columns."""
