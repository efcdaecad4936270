"""What is read of a cluster: its objects, and the facts that follow from them."""
