"""From raw documents to the rows of the store."""
