"""The summary of one run, as a document and as Markdown."""
