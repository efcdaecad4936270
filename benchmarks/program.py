"""How a benchmark with flags is run: an exit code, with a sentence for whatever ends it."""

import sys
from collections.abc import Callable

from cyclopts import App, CycloptsError

from analysis.console.notices import print_notice
from analysis.errors import INTERRUPTED, BadInput, Problem


def exit_code(program: Callable[..., int], interrupted: str = "Interrupted.") -> int:
    """Run a program with the flags of the command line. `interrupted`: what Ctrl-C leaves, a sentence."""
    app = App(exit_on_error=False, print_error=False, result_action="return_value", suppress_keyboard_interrupt=False)
    app.default(program)
    try:
        return int(app(sys.argv[1:]) or 0)
    except CycloptsError as error:
        print_notice(str(error))
        return BadInput.exit_code
    except Problem as problem:
        print_notice(str(problem))
        return problem.exit_code
    except KeyboardInterrupt:
        print_notice(interrupted)
        return INTERRUPTED
