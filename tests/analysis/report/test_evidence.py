"""The evidence of a report: each sign and each list of changes once, with the visits that had it."""

from typing import Any, cast

from analysis.charts import ChartData
from analysis.report.evidence import evidence


def sign(moment: str, seen: str, *indicates: str, node: str = "node-a") -> dict[str, Any]:
    return {"moment": moment, "node": node, "looked_at": "counter", "seen": seen, "indicates": list(indicates)}


class Visits:
    """What the section asks of a run: its visits."""

    def __init__(self, *rows: tuple[int, str | None, list[dict[str, Any]], list[str]]) -> None:
        names = ("visit", "dataplane", "evidence", "changes")
        self.rows = [dict(zip(names, row, strict=True)) for row in rows]

    def query(self, _sql: str) -> list[dict[str, Any]]:
        return self.rows


def shown(*rows: tuple[int, str | None, list[dict[str, Any]], list[str]]) -> list[dict[str, Any]]:
    return evidence(cast("ChartData", Visits(*rows)))


def test_evidence_of_every_visit_stands_once_and_what_differs_has_its_visits() -> None:
    always = [sign("before", "none", "ebpf", node="node-b"), sign("after", "none", "ebpf", node="node-b")]
    (one,) = shown(
        (1, "ebpf", [sign("before", "5 packets", "ebpf"), *always, sign("after", "7 packets", "ebpf")], ["on"]),
        (4, "ebpf", [sign("before", "7 packets", "ebpf"), *always, sign("after", "7 packets", "ebpf")], ["off", "on"]),
        (6, "ebpf", [sign("before", "7 packets", "ebpf"), *always, sign("after", "7 packets", "ebpf")], ["on"]),
    )
    assert (one["dataplane"], one["extent"]) == ("ebpf", "3 signs of visits 1, 4 and 6")
    assert [(each["when"], each["node"], each["text"]) for each in one["signs"]] == [
        ("before, in visit 1", "node-a", "counter: 5 packets"),
        ("after; before, in visits 4 and 6", "node-a", "counter: 7 packets"),
        ("before and after", "node-b", "counter: none"),
    ]
    assert {each["indicates"] for each in one["signs"]} == {"ebpf"}
    assert one["changes"] == [{"when": "visits 1 and 6", "text": "on"}, {"when": "visit 4", "text": "off\non"}]


def test_dataplanes_stand_in_the_order_of_their_visits_and_what_is_missing_is_named() -> None:
    nothing = sign("before", "nothing") | {"indicates": None, "node": None, "moment": None}
    first, second = shown((1, None, [nothing, sign("after", "odd")], []), (2, "iptables", [], ["on"]))
    assert (first["dataplane"], second["dataplane"]) == ("–", "iptables")
    assert [(each["when"], each["node"], each["indicates"]) for each in first["signs"]] == [
        ("at an unknown time", "–", "no indication"),
        ("after", "node-a", "no known dataplane"),
    ]
    assert (second["extent"], second["signs"]) == ("0 signs of visit 2", [])
