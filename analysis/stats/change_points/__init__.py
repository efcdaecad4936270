"""Change points of one series, a value for each night. Pure; `detection` has the method."""
