"""The site of the whole store, brought up to date after a run's report where the deployment wants it."""

from analysis.errors import Problem
from steps.settings import environment
from steps.tasks.shared.step import log


def bring_up_to_date(results: str, place: str) -> None:
    """Write the pages that the run has changed. Why they can't be is a line of the log: the run's report is stored.

    Args:
        results: the address of the store.
        place: where the pages are written: an address, or `environment.BESIDE`.
    """
    # imported here, since building the workflow imports this module and should not wait for charts
    import duckdb  # noqa: PLC0415

    from analysis import site  # noqa: PLC0415
    from analysis.store.storage.object_storage import ObjectStorage  # noqa: PLC0415
    from analysis.store.store import Store  # noqa: PLC0415
    from steps.settings.compared import COMPARED  # noqa: PLC0415

    store = Store(results)
    try:
        files = store.files.below(site.FOLDER) if place == environment.BESIDE else ObjectStorage(place)
        written = site.write_site(store, files, COMPARED)
    except (Problem, duckdb.Error) as error:
        log(f"The site can't be brought up to date: {error}")
        return
    for notice in written.notices:
        log(notice)
    log(f"Site {files.address('index.html')}: {written.sentence}")
