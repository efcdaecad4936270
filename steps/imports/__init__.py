"""Results that other tools measured: their files are read, checked within bounds, and become rows of the store."""
