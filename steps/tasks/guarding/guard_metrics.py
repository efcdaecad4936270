"""The guard's metrics: pushed to a Pushgateway, since no pod of the guard lives long enough to be scraped."""

import http.client
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

SWITCHED: Final = "dataplane_benchmark_cluster_switched"
LAST_LOOK: Final = "dataplane_benchmark_guard_last_look_timestamp_seconds"
JOB: Final = "dataplane-benchmark-guard"

_TIMEOUT_S: Final = 2.0


def text(now: datetime, *, switched: bool) -> str:
    """Both metrics in Prometheus' text format. The seconds since the last look are `time() - ` the second."""
    return (
        f"# HELP {SWITCHED} Whether a run or a person holds the cluster, so that its dataplane may be switched.\n"
        f"# TYPE {SWITCHED} gauge\n{SWITCHED} {int(switched)}\n"
        f"# HELP {LAST_LOOK} When the guard last looked, as seconds since 1970.\n"
        f"# TYPE {LAST_LOOK} gauge\n{LAST_LOOK} {now.timestamp():.0f}\n"
    )


def push(gateway: str, environment: str, now: datetime, *, switched: bool) -> str:
    """Replace the metrics of this cluster at a Pushgateway; returns why that failed, a sentence, or nothing."""
    host = "the Pushgateway"
    try:
        target = urlsplit(gateway)
        host = target.hostname or host
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.hostname or "", target.port, timeout=_TIMEOUT_S)
        try:
            content = {"Content-Type": "text/plain; version=0.0.4"}
            connection.request(
                "PUT", target.path.rstrip("/") + _group(environment), text(now, switched=switched), content
            )
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the metrics could not be pushed to {host} ({type(error).__name__})."
    accepted = status < http.client.MULTIPLE_CHOICES
    return "" if accepted else f"{host} refused the metrics with status {status}."


def _group(environment: str) -> str:
    """The path of a cluster's metrics. A Pushgateway takes `/`, even as %2F, for the end of a label's value."""
    if "/" not in environment:
        return f"/metrics/job/{JOB}/environment/{quote(environment, safe='')}"
    return f"/metrics/job/{JOB}/environment@base64/{urlsafe_b64encode(environment.encode()).decode()}"
