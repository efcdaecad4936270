"""The files of a site: which it has, which are made again, and where the reports are."""
