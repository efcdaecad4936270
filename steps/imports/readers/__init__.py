"""One module for each tool whose files are read: from bytes to what the file has, or why it can't be used."""
