"""What the guard of a deployment does at each look: putting back, finding what is left, metrics."""
