"""Stores whose runs are small, and the sites that are made of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from analysis.site import Written, write_site
from analysis.stats.contrasts.figures import Compared
from analysis.stats.nights.regressions import LevelChange
from analysis.store.storage.object_storage import ObjectStorage
from analysis.store.store import Store
from analysis.summary.run.summary import Summary, to_json

STARTED = datetime(2026, 3, 1, 22, tzinfo=UTC)


def change(run_id: str, night: int, status: Any = "regression", **fields: Any) -> LevelChange:  # noqa: ANN401
    """A change of throughput since a night."""
    values: dict[str, Any] = {
        "metric": "received_bps",
        "metric_title": "throughput",
        "unit": "bit/s",
        "scale": "ratio",
        "better": "higher",
        "topology": "pod-to-pod",
        "tool": "iperf3",
        "transport": "tcp",
        "direction": "forward",
        "path": "pod-to-pod tcp",
        "dataplane": "beta",
        "against": "alpha",
        "status": status,
        "run_id": run_id,
        "began_at": STARTED + timedelta(days=night),
        "nights_since": 1,
        "before": 0.5,
        "after": 0.2,
        "change": -0.2,
        "low": -0.3,
        "high": -0.1,
        "nights_before": 5,
        "nights_after": 2,
        "p_adjusted": 0.001,
    }
    return LevelChange(**(values | fields))


def verdict(run_id: str, **fields: Any) -> str:  # noqa: ANN401 - of a summary
    """A run's verdict as it is stored."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "environment": "prod",
        "outcome": "measured",
        "interrupted": False,
        "headline": f"Beta is best in {run_id}.",
        "baseline": "alpha",
        "rounds": 2,
        "trials": 4,
        "trials_measured": 4,
        "trials_failed": 0,
        "trials_not_run": 0,
    }
    return to_json(Summary(**(values | fields)))


def put(
    store: Store,
    run_id: str,
    night: int = 0,
    *,
    environment: str | None = "prod",
    label: str = "",
    verdict: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """A run of two dataplanes over one path in two rounds."""
    at = STARTED + timedelta(days=night)
    visits = [(1, 1, "alpha"), (2, 1, "beta"), (3, 2, "alpha"), (4, 2, "beta")]
    store.write(
        run_id,
        {
            "runs": [
                {
                    "started_at": at,
                    "environment": environment,
                    "trigger": "nightly",
                    "parameters": {"profile": "quick", "label": label, "dataplanes": ["alpha", "beta"]}
                    | dict(parameters or {}),
                    "provenance": {"kernel": "6.18"},
                    "verdict": verdict,
                }
            ],
            "visits": [
                {"visit": visit, "round": block, "dataplane_requested": name, "proof": "proven"}
                for visit, block, name in visits
            ],
            "trials": [
                {"visit": visit, "trial": visit, "outcome": "measured", "received_bps": 1e9 * (1 + visit / 10)}
                | {"topology": "pod-to-pod", "tool": "iperf3", "transport": "tcp", "direction": "forward"}
                for visit, _, _ in visits
            ],
        },
    )


def fill(store: Store, nights: int) -> None:
    """Runs of so many nights, `night-00` first."""
    for night in range(nights):
        run_id = f"night-{night:02}"
        put(store, run_id, night, verdict=verdict(run_id))


def build(store: Store, site: Path | str) -> Written:
    """Bring a site up to date; every run has one method."""
    return write_site(store, ObjectStorage(str(site)), Compared(lambda _: {}, {}, {}))


class Parsed(HTMLParser):
    """A page as a browser reads it: its text, its links and the names of its elements."""

    def __init__(self, page: str | bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self.ids: list[str] = []
        self.feed(page if isinstance(page, str) else page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        given = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        self.ids += [given["id"] or ""] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """Its text, in one line."""
        return " ".join(" ".join(self.words).split())


def page(site: Path, name: str) -> Parsed:
    """A page of a site in a folder."""
    return Parsed((site / name).read_text(encoding="utf-8"))


def files(site: Path) -> dict[str, bytes]:
    """All files of a site but its lock."""
    found = (path for path in site.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in found}
