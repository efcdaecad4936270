"""Run the benchmark here: check what was asked for, then go into the lab's box and walk the workflow there."""

import sys

from analysis.errors import BadInput
from steps.cluster import LAB
from steps.cluster.lab import box
from workflows.request import Request


def run(request: Request) -> int:
    """Measure, store, report and say what came of it. Returns the exit code; raises Problem for bad input."""
    settings = request.settings()
    if settings.environment != LAB:
        raise BadInput(
            f"this command measures the lab on this machine, not {settings.environment!r}: on a cluster the run is a "
            "workflow. Apply workflows/manifests and submit it with `argo submit --from "
            "workflowtemplate/dataplane-benchmark`."
        )
    if box.inside():
        from workflows.inside import measure  # noqa: PLC0415 - a fault in what was asked should not wait for the engine

        return measure(request, settings)
    from analysis.integrity.audit import EVERY  # noqa: PLC0415 - likewise
    from analysis.integrity.left_out import sentences  # noqa: PLC0415 - likewise
    from analysis.store import Store  # noqa: PLC0415 - likewise

    store = Store(settings.results)
    store.check_writable()
    # What the report will read is read now, rather than after an hour of measuring.
    for sentence in sentences(store.inventory(EVERY).left_out):
        print(sentence, file=sys.stderr)  # noqa: T201 - this is the command line
    return box.run([sys.executable, "-m", "workflows", "run", *request.argv(settings)], hold_interrupts=True)
