"""What the tasks share: their inputs, their pods, their turns, and how they fail."""
