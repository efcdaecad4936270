"""The flags of deploy."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from steps.settings.environment import ACCEPTED
from workflows.flags.common import ContextFlag, flag

_ACCEPT = " ".join(f"{word}: {meaning}." for word, meaning in ACCEPTED.items())

_NAMESPACE = (
    "Where workflows run. If empty: where they run already, else the only namespace that Argo's controller watches, "
    "else one of the benchmark's own."
)

ADMISSION_MODES = ("deny", "warn", "off")
_ADMISSION = "deny, warn or off: what becomes of pods that the admission policies refuse; deny if empty."
GUARD_OFF = "off"
MINUTES_OF_AN_HOUR = 60
_GUARD = (
    "The guard puts back what a dead run left: how many minutes pass between its looks, or off to leave it out; "
    "1 if empty."
)
_PUSHGATEWAY = "The Prometheus Pushgateway for the guard's metrics, such as http://pushgateway.monitoring:9091."
_SITE = (
    "Where each run brings the pages of the whole store up to date: beside, for the folder site of the store, or an "
    "s3:// address; nowhere if empty."
)
_NOTIFY_URL = "Where the verdict of each run is posted, as JSON. It is a secret: give it by the variable."


@dataclass(frozen=True, kw_only=True)
class DeployFlags:
    """The flags of deploy. Where a text is empty, the cluster decides."""

    context: ContextFlag = ""
    namespace: Annotated[str, flag(_NAMESPACE)] = ""
    image: Annotated[str, flag("NAME:TAG of the steps' image, where the nodes can pull it.")] = ""
    results: Annotated[str, flag("The store, s3://BUCKET[/PREFIX]; the bucket of Argo's artifacts if empty.")] = ""
    environment: Annotated[str, flag("Under which name the results are stored; the context's if empty.")] = ""
    outside: Annotated[str, flag("The node of the client outside, one without a calico-node pod.")] = ""
    accept: Annotated[str, flag(_ACCEPT)] = ""
    schedule: Annotated[str, flag("When the nightly run begins, as cron writes it, in UTC.")] = ""
    notify_url: Annotated[str, flag(_NOTIFY_URL, "NOTIFY_URL")] = ""
    admission: Annotated[str, flag(_ADMISSION)] = ""
    guard: Annotated[str, flag(_GUARD)] = ""
    pushgateway: Annotated[str, flag(_PUSHGATEWAY)] = ""
    site: Annotated[str, flag(_SITE)] = ""
    force: Annotated[bool, Parameter(help="Overwrite fields that another client has changed since.", negative="")] = (
        False
    )
