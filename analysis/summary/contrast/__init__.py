"""The comparison of two groups of runs, in words, as a document and as Markdown."""
