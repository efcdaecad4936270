"""What Felix, Calico's agent on each node, prints to its log."""
