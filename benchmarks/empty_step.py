"""A step that does nothing, in a module that imports nothing but what every step does."""

from steps.tasks.shared.pod import step


@step("measure", deadline_s=600)
def empty() -> None:
    """Does nothing."""
