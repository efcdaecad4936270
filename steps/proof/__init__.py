"""Whether a dataplane is proven by what the nodes show, and waiting until it is."""
