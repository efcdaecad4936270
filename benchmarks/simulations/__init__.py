"""What is simulated: verdicts, contrasts and change points, on runs whose truth is known."""
