"""Whether the files of a store are what they were when they were put, and what is left out of it where they are not."""
