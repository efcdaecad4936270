"""The kernel's accounts of CPU time, against lost progress."""
