"""The catalogue of tools, and documents of before cells named tool and transport."""

import gzip
import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analysis import formatting, metrics
from analysis.store.schema import columns
from steps.catalogue.cells import PlannedCell
from steps.catalogue.options import BY_NAME
from steps.catalogue.tools import CANARY, CONNECTIVITY, SERVED, TOOLS, VARIANTS, served
from steps.collect import run_rows
from steps.domain import Placement
from steps.settings.settings import load_settings
from steps.tools.iperf3.iperf3 import IperfReport
from steps.tools.tcp_connect import Connects
from steps.tools.tool import FIRST_PORT, LAST_PORT, RESERVED_PORTS, Tool, shown_time
from tests.steps.builders import placement, settings, trial, write_run

OLDER_SETTINGS = Path(__file__).parents[1] / "recorded/settings-with-protocols.json"
"""Of a run on a real Argo, before cells named tool and transport."""
COLUMNS = {column.name for column in columns("trials")}
COLLECTED_AT = datetime(2026, 1, 31, 13, tzinfo=UTC)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_tool_entries(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", tool.name)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", tool.label), "it names containers"
    assert tool.server_of or len(f"{tool.label}-tcp") <= 15, "it names ports of a Service"
    assert FIRST_PORT <= tool.port <= LAST_PORT
    assert tool.directions
    assert len({variant.transport for variant in tool.variants}) == len(tool.variants) > 0
    for variant in tool.variants:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", variant.name)
        assert set(variant.figures) <= COLUMNS
        assert variant.figures
    assert str(tool.port) in tool.server(tool.port)


def test_names_and_ports_of_tools_are_their_own() -> None:
    ports = Counter([*(tool.port for tool in SERVED), *RESERVED_PORTS])
    assert set(ports.values()) == {1}
    assert len({tool.label for tool in TOOLS}) == len({tool.name for tool in TOOLS}) == len(TOOLS)
    assert len(VARIANTS) == sum(len(tool.variants) for tool in TOOLS)


def test_protocols_option_offers_every_variant_and_each_metric_has_one() -> None:
    assert tuple(variant.name for tool in TOOLS for variant in tool.variants) == BY_NAME["protocols"].choices
    filled = {figure for _, variant in VARIANTS.values() for figure in variant.figures}
    assert {metric.needed_column for metric in metrics.COMPARED} <= filled


def test_visit_has_the_servers_of_its_trials_and_those_of_every_visit() -> None:
    assert served([]) == [CANARY, CONNECTIVITY]
    assert served(tool.name for tool in TOOLS) == list(SERVED)


def test_sentences_of_trials_have_the_units_of_reports() -> None:
    connects = Connects(connects_per_s=60.0, p50_s=152e-6, p99_s=15.2e-3, count=9, errors=0, error=None, duration_s=1.0)
    assert connects.sentence == "connect in 152 µs, 99 % within 15.2 ms"
    assert shown_time(1.234) == formatting.quantity(1.234, "s") == "1.23 s"
    assert shown_time(None) == "an unknown time"
    report = IperfReport(version=None, sent_bps=2e8, received_bps=2e8, duration_s=1.0)
    assert report.sentence == "200 Mbit/s"


def test_tool_that_is_not_known_is_refused_by_a_sentence() -> None:
    with pytest.raises(ValidationError, match=r"there is no tool iperf3 over sctp|Input should be 'tcp' or 'udp'"):
        PlannedCell.model_validate(
            {"topology": "pod-to-pod", "tool": "iperf3", "transport": "sctp", "direction": "forward"}
        )
    with pytest.raises(
        ValidationError, match="there is no tool tcp_connect over udp; there are iperf3 over tcp, iperf3"
    ):
        PlannedCell(topology="pod-to-pod", tool="tcp_connect", transport="udp", direction="forward")


# Documents of before


def as_before(document: Any) -> Any:  # noqa: ANN401 - JSON
    """A document as it was written when cells, trials and placements named a protocol."""
    if isinstance(document, list):
        return [as_before(item) for item in document]
    if not isinstance(document, dict):
        return document
    found = {name: as_before(value) for name, value in document.items()}
    if {"tool", "transport"} <= found.keys():
        tool, transport = found.pop("tool"), found.pop("transport")
        found["protocol"] = "connect" if tool == "tcp_connect" else transport
    if "ports" in found:
        ports = found.pop("ports")
        found |= {"port": ports["iperf3"], "connect_port": ports["tcp_connect"]}
    return found


@pytest.mark.parametrize("protocol", ["tcp", "udp", "connect"])
def test_protocol_of_an_older_document_is_its_tool_and_transport(protocol: str) -> None:
    planned = trial(protocol=protocol)
    older = as_before(planned.model_dump(mode="json"))
    assert older["protocol"] == protocol
    assert type(planned).model_validate(older) == planned


def test_ports_of_an_older_placement_are_those_of_the_two_tools() -> None:
    older = as_before(placement().model_dump(mode="json"))
    assert (older["port"], older["connect_port"]) == (5201, 5202)
    assert Placement.model_validate(older) == placement()


def test_settings_that_an_older_step_handed_on_in_a_real_workflow_are_read() -> None:
    text = OLDER_SETTINGS.read_text()
    cells = json.loads(text)["cells"]
    assert [cell.variant.name for cell in load_settings(text).cells] == [cell["protocol"] for cell in cells]


def test_older_run_collected_again_from_its_documents_has_the_same_rows(tmp_path: Path) -> None:
    write_run(tmp_path, settings(options="rounds=1 protocols=tcp,udp,connect"))
    now = run_rows.run_rows(tmp_path, collected_at=COLLECTED_AT)
    changed = 0
    for path in tmp_path.rglob("*.json*"):
        packed = path.suffix == ".gz"
        text = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        older = json.dumps(as_before(json.loads(text))).encode()
        changed += b'"protocol"' in older
        path.write_bytes(gzip.compress(older) if packed else older)
    assert changed > 10
    assert run_rows.run_rows(tmp_path, collected_at=COLLECTED_AT) == now
    assert {(row["tool"], row["outcome"]) for row in now["trials"]} == {
        ("iperf3", "measured"),
        ("tcp_connect", "measured"),
    }


def test_run_records_what_measured_it_under_its_short_name(tmp_path: Path) -> None:
    write_run(tmp_path, settings(options="rounds=1 protocols=udp,connect"))
    parameters: Any = run_rows.run_rows(tmp_path)["runs"][0]["parameters"]
    assert [(entry["name"], entry["tool"], entry["transport"]) for entry in parameters["tools"]] == [
        ("udp", "iperf3", "udp"),
        ("connect", "tcp_connect", "tcp"),
    ]
    assert "lost_packets" in parameters["tools"][0]["figures"]
