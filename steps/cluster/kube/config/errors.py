"""What is wrong with a text that should be JSON or YAML."""


class TextError(Exception):
    """The text can't be parsed, or one key of it can't be set without changing anything else. A clause, no sentence."""
