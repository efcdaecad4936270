"""The exit handler's last task: send the result to a configured address. A failure changes nothing of the run."""

from typing import Annotated

from hera.workflows import Parameter, SecretEnv

from analysis.errors import Problem
from steps.catalogue.environments import is_lab
from steps.settings import environment
from steps.tasks._pod import step
from steps.tasks._step import ends_in_a_sentence, say

SECRET = "dataplane-benchmark-notify"  # noqa: S105 - its name
"""Holds the address, for such addresses are secrets as a rule; the deployment's ConfigMap does where it is absent."""

NOBODY = "nobody asked to be told"
_RESTORED = "Succeeded"
_REFUSED = "Failed"
"""The status of a step that ended by its own sentence; any other says nothing of what it had come to."""

_REMEDY = "type `make restore ENVIRONMENT=CONTEXT`, or submit another run, which does it at its end"


@step(
    "measure",
    deadline_s=300,
    memory="1Gi",
    store=True,
    repeatable=True,
    env=(SecretEnv(name=environment.NOTIFY_URL, secret_name=SECRET, secret_key="url", optional=True),),  # noqa: S106 - its key
)
@ends_in_a_sentence
def notify(
    run_id: Annotated[str, Parameter(name="run-id")], status: str, restored: str
) -> Annotated[str, Parameter(name="told")]:
    """Post the verdict as JSON. Fails only for a cluster that was not put back, which must not look like a success."""
    try:
        sentence = _tell(run_id, status, restored=restored == _RESTORED or is_lab(environment.environment()))
    except Problem as problem:
        sentence = str(problem)
    say(sentence)
    # The lab goes with its sandbox, whatever came of the step: there is nothing that could be left.
    if restored != _RESTORED and not is_lab(environment.environment()):
        left = (
            "what the run changed was not put back"
            if restored == _REFUSED
            else "it is not known whether what the run changed was put back"
        )
        raise Problem(f"{left}, for restore ended as {restored}: see that step's message, then {_REMEDY}.")
    return sentence


def _tell(run_id: str, status: str, *, restored: bool) -> str:
    url = environment.notify_url()
    if not url:
        return NOBODY
    # Here and not above, since a deployment without an address should not wait for it.
    from analysis.store.store import Store  # noqa: PLC0415
    from analysis.summary import stored  # noqa: PLC0415
    from steps import notification as notifying  # noqa: PLC0415

    store = Store(environment.results())
    report = store.location(f"reports/{run_id}/report.html")
    summary = stored.find_summary(store, run_id)
    body = notifying.message(run_id, environment.environment(), status, report, summary, restored=restored)
    return f"notified: the answer was {notifying.post(url, body)}"
