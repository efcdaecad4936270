"""What was asked for of a pod, and what the cluster made of it."""
