"""The results of a raw attempt, or the reason why it has none. Pure."""

from steps.documents import Attempt
from steps.domain import Trial
from steps.tools.failure import Failure
from steps.tools.iperf3 import iperf3
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tool import Output, Result, Task


def read_results(trial: Trial, attempt: Attempt) -> Result | Failure:
    """The results of an attempt at a trial."""
    if attempt.error is not None:
        return Failure(attempt.error)
    return trial.program.read(task(trial, round(attempt.window_offset_s)), attempt.argv, _output(attempt))


def task(trial: Trial, omit_s: int) -> Task:
    """The task of a trial's tool, after so many seconds of warm-up."""
    return Task(
        transport=trial.transport,
        direction=trial.direction,
        streams=trial.streams,
        duration_s=trial.duration_s,
        omit_s=omit_s,
        offered_bps=trial.offered_bps,
    )


def read_canary(attempt: Attempt) -> IperfReport | Failure:
    """The results of an attempt at a canary."""
    if attempt.error is not None:
        return Failure(attempt.error)
    return iperf3.read(iperf3.canary_task(attempt.argv), attempt.argv, _output(attempt))


def _output(attempt: Attempt) -> Output:
    stdout, stderr = (text.encode(errors="backslashreplace") for text in (attempt.stdout, attempt.stderr))
    return Output(stdout, stderr, attempt.exit_code)


def payload_bps(result: Result) -> float | None:
    """Bits per second of payload that arrived; None for a tool that transfers none."""
    found = result.columns.get("received_bps")
    return found if isinstance(found, float) else None


def result_sentence(result: Result | Failure) -> str:
    """The key figure in a few words, such as `5.21 Gbit/s`."""
    return f"failed: {result.reason}" if isinstance(result, Failure) else result.sentence
