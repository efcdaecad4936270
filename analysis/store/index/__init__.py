"""What a store holds, by the names and the entries of its files."""
