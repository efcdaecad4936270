"""The exit handler's last task: post the result to a configured address."""

from dataclasses import dataclass

from analysis.errors import Problem
from steps.catalogue.environments import is_lab
from steps.settings import environment
from steps.tasks.shared.artifacts import Outputs
from steps.tasks.shared.pod import FromConfigMap, FromSecret, step
from steps.tasks.shared.step import log, own_run_id

SECRET = "dataplane-benchmark-notify"  # noqa: S105 - its name
"""Contains the address, which is usually secret; where the Secret is absent, the ConfigMap may contain it."""

NO_ADDRESS = "no address to notify is configured"
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
    except Problem as problem:
        sentence = str(problem)
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
    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary.run import stored  # noqa: PLC0415
    from steps import notification  # noqa: PLC0415

    store = Store(environment.results())
    report = store.location(f"reports/{run_id}/report.html")
    summary = stored.find_summary(store, run_id)
    body = notification.message(run_id, environment.environment(), status, report, summary, restored=is_restored)
    return f"notified: the answer was {notification.post(url, body)}"
