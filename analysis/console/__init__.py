"""What a person reads in a terminal: documents, notices, and the commands that sentences advise."""
