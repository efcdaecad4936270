"""Whether the signs of the nodes prove a dataplane, and waiting until they do."""
