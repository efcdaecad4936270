"""The turns of a visit's measuring steps: the rules, the server, and a step that takes its turns."""
