"""The exit handler's last task: post the result to a configured address."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analysis import background
from analysis.errors import Problem
from analysis.store.storage.storage_errors import resource_error
from steps.catalogue.environments import is_lab
from steps.settings import environment
from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import FromConfigMap, FromSecret, step
from steps.tasks.shared.step import log, own_run_id

if TYPE_CHECKING:
    from analysis.summary.run.summary import Summary

SECRET = "dataplane-benchmark-notify"  # noqa: S105 - its name
"""Contains the address, which is usually secret; where the Secret is absent, the ConfigMap may contain it."""

NO_ADDRESS = "no address to notify is configured"
SUMMARY_S: Final = 60.0
"""How long the store may take to give the summary: posting takes another minute at most, and the step has five."""

_RESTORED = "Succeeded"
_REFUSED = "Failed"
"""The status of a step that reported its own failure; after any other its result is unknown."""


@dataclass(frozen=True, kw_only=True)
class NotifyResult(Outputs):
    """What became of it, as a sentence."""

    notification: str


@step(
    "measure",
    deadline_s=300,
    memory="1Gi",
    store=True,
    repeatable=True,
    env=(
        FromSecret(environment.NOTIFY_URL_OF_SECRET, SECRET, key="url"),
        FromConfigMap(environment.NOTIFY_URL),
    ),
)
def notify(status: str, restored: str) -> NotifyResult:
    """Post the verdict as JSON. Fails only where the cluster was not restored, since the run must not look successful.

    The lab disappears with its sandbox, so it counts as restored.
    """
    is_restored = restored == _RESTORED or is_lab(environment.environment())
    try:
        sentence = _post(own_run_id(), status, is_restored=is_restored)
    except (Problem, OSError, MemoryError, ImportError, RuntimeError) as error:
        sentence = _sentence_of(error)
    log(sentence)
    if not is_restored:
        left = (
            "what the run changed was not put back"
            if restored == _REFUSED
            else "it is unknown whether what the run changed was put back"
        )
        command = environment.restore_command(environment.context())
        raise Problem(
            f"{left}, for restore ended as {restored}: see that step's message, then type `{command}`, or submit "
            "another run, which restores first."
        )
    return NotifyResult(notification=sentence)


def _post(run_id: str, status: str, *, is_restored: bool) -> str:
    url = environment.notify_url()
    if not url:
        return NO_ADDRESS
    # imported here, since a deployment without an address should not wait for it
    from steps import notification  # noqa: PLC0415

    report, summary, unread = "", None, ""
    try:
        report, summary = _find_summary(run_id)
    except Exception as error:  # noqa: BLE001 - the run's end must be reported, whatever is wrong with the store
        unread = _sentence_of(error)
        log(f"The run's summary can't be read: {unread}")
    body = notification.message(
        run_id, environment.environment(), status, report, summary, restored=is_restored, unread=unread
    )
    return f"notified: the answer was {notification.post(url, body)}"


def _find_summary(run_id: str) -> "tuple[str, Summary | None]":
    """The address of a run's report, and the run's summary if it has one.

    Raises:
        Problem: the store can't be read, or not within SUMMARY_S.
    """

    def find() -> "tuple[str, Summary | None]":
        from analysis.store.store import Store  # noqa: PLC0415 - as above
        from analysis.summary.run import stored  # noqa: PLC0415

        store = Store(environment.results())
        return store.location(f"reports/{run_id}/report.html"), stored.find_summary(store, run_id)

    try:
        return background.begin(find).result(SUMMARY_S)
    except TimeoutError:
        raise Problem(
            f"the store did not answer within {SUMMARY_S:g} s; check BENCHMARK_RESULTS and the network"
        ) from None


def _sentence_of(error: Exception) -> str:
    return str(error) if isinstance(error, Problem) else resource_error(error) or f"{type(error).__name__}: {error}"
