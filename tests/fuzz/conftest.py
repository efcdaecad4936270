import pytest

from tests.fuzz import inputs


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried and what came of it, also where the tests' own output is captured."""
    found = inputs.lines()
    if found:
        terminalreporter.section("fuzz")
        terminalreporter.write("\n".join(found) + "\n")
