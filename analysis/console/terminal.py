"""The terminal: text is shown as it is, never as markup, and without control sequences.

Output contains text of others: an iperf3 error, a path, a label, the log of a pod. Rich would parse `[/x]` in it as
markup, and the terminal would execute escape sequences.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final, TextIO

import rich.text
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table

from analysis.console.notices import discard_buffered, print_notice
from analysis.console.sanitizing import sanitize_standard_error, strip_controls
from analysis.errors import Unsupported

_PRETENDING: Final = frozenset({"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"})
"""Variables by which Rich takes a pipe or a file for a terminal, as CI systems set them: a program that reads the
output would get rounded numbers of 1000 rows at most, and a log would get every frame of the progress."""

_WIDEST: Final = 10_000


class UnwritableError(Unsupported):
    """The standard output can't be written."""


class Text(rich.text.Text):
    """Rich's styled text, without control characters."""

    def __init__(self, text: str = "", style: str | Style = "", **more: Any) -> None:  # noqa: ANN401 - Rich's own
        super().__init__(strip_controls(text), style, **more)

    def append(self, text: rich.text.Text | str, style: str | Style | None = None) -> "Text":
        """Add text in a style."""
        super().append(strip_controls(text) if isinstance(text, str) else text, style)
        return self


class Terminal(Console):
    """Rich's console without markup, emoji codes, highlighting and control sequences in data.

    It is a terminal only where its file is one. A table that has not enough room is broken by the terminal, not cut.
    """

    def __init__(self, file: IO[str] | None = None, **more: Any) -> None:  # noqa: ANN401 - Rich's own
        known = {name: value for name, value in os.environ.items() if name not in _PRETENDING}
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **({"_environ": known} | more))

    def print(self, *objects: Any, **more: Any) -> None:  # noqa: ANN401 - Rich's own
        """Print; a table at least as wide as its longest words, unless it is to be cropped."""
        widest = self.options.update_width(_WIDEST)
        tables = [each for each in objects if isinstance(each, Table)]
        for column in (column for table in tables for column in table.columns):
            column.overflow = "fold"  # not Rich's ellipsis: it narrows the widest column, whatever its words need
        least = max((Measurement.get(self, widest, table).minimum for table in tables), default=0)
        if least <= self.width or "crop" in more:
            super().print(*objects, **more)
            return
        before, self._width = self._width, least
        try:
            super().print(*objects, **more, crop=False)
        finally:
            self._width = before

    def render_str(self, text: str, **more: Any) -> rich.text.Text:  # noqa: ANN401 - Rich's own
        """A string as styled text, taken literally."""
        return super().render_str(strip_controls(text), **(more | {"markup": False, "emoji": False}))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments to print, without control characters in their text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(strip_controls(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled; Rich itself would exit with code 1."""
        del self._buffer[:]
        raise  # noqa: PLE0704 - Rich calls this inside its `except`

    def lines(self, text: str) -> None:
        """Write text and keep its tabs, which Rich would expand."""
        self.file.write(strip_controls(text) + "\n")


class CheckedStream:
    """A standard stream that reports its failures.

    Attributes:
        failure: why it can't be written any more; None while it can, and where its reader has gone.
    """

    def __init__(self, stream: TextIO, *, suppress: bool = False, descriptor: int = 1) -> None:
        """`suppress`: discard everything after the first failure, instead of raising UnwritableError."""
        self.failure: UnwritableError | None = None
        self._stream = stream
        self._suppress = suppress
        self._descriptor = descriptor
        self._is_gone = False

    def write(self, text: str) -> int:
        """Write; raises UnwritableError."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write; raises UnwritableError."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush; raises UnwritableError."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's own
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], object]) -> None:
        if self._is_gone:
            return
        try:
            action()
        except (OSError, ValueError) as error:
            problem = None if isinstance(error, BrokenPipeError) else _unwritable(error)
            if not self._suppress:
                raise problem or error from None
            self._is_gone, self.failure = True, problem
            discard_buffered(self._descriptor)


def suppress_output_errors() -> CheckedStream:
    """From now on ignore that the standard output fails or has lost its reader, as with `| head`."""
    out = sys.stdout._stream if isinstance(sys.stdout, CheckedStream) else sys.stdout  # noqa: SLF001 - of this very module
    suppressed = CheckedStream(out, suppress=True)
    sys.stdout = suppressed  # type: ignore[assignment, unused-ignore]
    return suppressed


@contextlib.contextmanager
def without_output_errors() -> Iterator[None]:
    """Go on where the standard output fails or has lost its reader, for what must not end in the middle of its changes.

    Why it failed is printed at the end; where the reader has gone, nothing is.
    """
    before, suppressed = sys.stdout, suppress_output_errors()
    try:
        yield
    finally:
        suppressed.flush()
        sys.stdout = before
        if suppressed.failure is not None:
            print_notice(str(suppressed.failure))


def _unwritable(error: OSError | ValueError) -> UnwritableError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UnwritableError(
        f"The standard output can't be written: {reason}. Send it elsewhere, or free some room where it goes."
    )


def check_standard_output() -> None:
    """Let failures of the standard output raise UnwritableError; print a question mark for what its encoding lacks.

    Raises:
        UnwritableError: it is closed.
    """
    out = sys.stdout
    if out is None:
        raise UnwritableError("The standard output is closed: give one, such as a file or /dev/null.")
    if isinstance(out, CheckedStream):
        return
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")
    sys.stdout = CheckedStream(out)  # type: ignore[assignment, unused-ignore]


def printing(program: Callable[[], int]) -> int:
    """Run a program that prints, and return its exit code; report a standard output that can't be written.

    The exit code is 0 where the reader, such as `head`, has gone before the end.
    """
    sanitize_standard_error()
    try:
        check_standard_output()
        code = program()
        sys.stdout.flush()
    except UnwritableError as problem:
        discard_buffered(1)
        print_notice(str(problem))
        return problem.exit_code
    except BrokenPipeError:
        discard_buffered(1)
        return 0
    return code
