"""A step that does nothing, in a module that imports nothing but what every step does."""

from hera.workflows import script


@script(constructor="runner", image="none")
def empty() -> None:
    """Does nothing."""
