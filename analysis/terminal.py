"""The one way to a terminal: text is shown as it is, never read as markup, and never obeyed as a control sequence.

What is printed holds what others wrote: an iperf3 error, a path, a label, the log of a pod. Rich would read `[/x]` in
it as markup, and the terminal would obey an escape sequence.
"""

import sys
from collections.abc import Iterable
from typing import IO, Any, TextIO

import rich.text
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style

from analysis.cleaning import clean
from analysis.errors import Problem


class UnwritableError(Problem):
    """What was to be said can't be written."""


class Text(rich.text.Text):
    """Rich's styled text, of cleaned text."""

    def __init__(self, text: str = "", style: str | Style = "", **more: Any) -> None:  # noqa: ANN401 - Rich's own
        super().__init__(clean(text), style, **more)

    def append(self, text: rich.text.Text | str, style: str | Style | None = None) -> "Text":
        """Add text in a style."""
        super().append(clean(text) if isinstance(text, str) else text, style)
        return self


class Terminal(Console):
    """Rich's console, for text that others wrote: no markup, no emoji codes, no highlighting, no control sequence."""

    def __init__(self, file: IO[str] | None = None, **more: Any) -> None:  # noqa: ANN401 - Rich's own
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **more)

    def render_str(self, text: str, **more: Any) -> rich.text.Text:  # noqa: ANN401 - Rich's own
        """A text as it is printed."""
        return super().render_str(clean(text), **(more | {"markup": False, "emoji": False}))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written for it: whatever it was made of, nothing in it is a control sequence but Rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)

    def lines(self, text: str) -> None:
        """Write text whose tabs are wanted, which Rich would turn into spaces."""
        self.file.write(clean(text) + "\n")


class Checked:
    """A standard stream whose failure to write is a sentence."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; raises UnwritableError."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise _unwritable(error) from None

    def flush(self) -> None:
        """Flush; raises UnwritableError."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise _unwritable(error) from None

    def writelines(self, lines: Iterable[str]) -> None:
        """Write; raises UnwritableError."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's own
        return getattr(self._stream, name)


def _unwritable(error: OSError | ValueError) -> UnwritableError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UnwritableError(
        f"The standard output can't be written: {reason}. Send it elsewhere, or free some room where it goes."
    )


def check_standard_output() -> None:
    """Make failures of the standard output sentences; what its encoding lacks becomes a question mark.

    Raises:
        UnwritableError: it is closed.
    """
    out = sys.stdout
    if out is None:
        raise UnwritableError("The standard output is closed: give one, such as a file or /dev/null.")
    if isinstance(out, Checked):
        return
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")
    sys.stdout = Checked(out)  # type: ignore[assignment, unused-ignore]
