"""From files to rows: visits and rounds, what stays null, and what one bad file costs."""

import gzip
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from analysis.store.files.arrow import to_table
from analysis.store.index.names import is_run_id
from steps.imports import importing, sources
from steps.imports.importing import Imported
from steps.imports.places import NO_MAPPING, Places
from steps.imports.rows import Row, RowsByTable
from tests.steps.imports import written

PATTERN = "{dataplane}/{visit}-{topology}.json"


def imported(folder: Path, files: Mapping[str, bytes], pattern: str = PATTERN, **given: str) -> Imported:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return importing.import_files("a", sources.find(str(folder)), Places.of(pattern, NO_MAPPING, given))


def tables(found: Imported) -> RowsByTable:
    (run,) = found.runs
    for name, rows in run.items():
        to_table(name, str(run["runs"][0]["run_id"]), rows)
    return run


def facts(run: RowsByTable) -> Mapping[str, Any]:
    parameters = run["runs"][0]["parameters"]
    return cast("Mapping[str, Any]", cast("Row", parameters)["imported"])


def document(n: int, **changed: object) -> bytes:
    return written.text(written.tcp(1e9 + n, at=written.NOON + 60 * n, **changed))  # type: ignore[arg-type]


def test_rows_are_those_of_a_run_with_its_visits_and_rounds(tmp_path: Path) -> None:
    names = ("iptables/1-pod-to-pod", "ebpf/1-pod-to-pod", "iptables/2-pod-to-pod", "ebpf/2-pod-to-pod")
    run = tables(imported(tmp_path, {f"{name}.json": document(n) for n, name in enumerate(names)}))
    (row,) = run["runs"]
    assert (row["run_id"], row["environment"], row["trigger"]) == ("imported_a_all", "imported:a", "imported")
    assert is_run_id(row["run_id"])
    assert [(v["visit"], v["round"], v["dataplane_requested"]) for v in run["visits"]] == [
        (1, 1, "iptables"),
        (2, 1, "ebpf"),
        (3, 2, "iptables"),
        (4, 2, "ebpf"),
    ]
    assert [t["imported_from"] for t in run["trials"]] == [f"{name}.json" for name in names]
    assert [(t["trial"], t["visit"], t["position"], t["outcome"]) for t in run["trials"]] == [
        (n, n, 1, "measured") for n in (1, 2, 3, 4)
    ]
    for name in ("proof", "dataplane_observed", "evidence", "switch_s"):
        assert all(visit.get(name) is None for visit in run["visits"]), name
    assert "took turns" in " ".join(facts(run)["unknown"])


def test_import_without_visits_joins_all_files_of_a_dataplane_and_says_so(tmp_path: Path) -> None:
    files = {f"{side}-{n}.json": document(n + 9 * (side == "b")) for side in "ab" for n in (1, 2)}
    run = tables(imported(tmp_path, files, "{dataplane}-{repetition}.json", topology="pod-to-pod"))
    assert [(visit["round"], visit["dataplane_requested"]) for visit in run["visits"]] == [(None, "a"), (None, "b")]
    assert [(t["visit"], t["repetition"]) for t in run["trials"]] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    unknown = " ".join(facts(run)["unknown"])
    assert "count as one visit" in unknown
    assert "measured as a whole before the next" in unknown


def test_names_of_visits_become_rounds_in_their_order(tmp_path: Path) -> None:
    files = {f"a/run{n}-p.json": document(n) for n in (10, 9)}
    assert [visit["round"] for visit in tables(imported(tmp_path, files))["visits"]] == [1, 2]


def test_import_of_unknown_fields_is_null(tmp_path: Path) -> None:
    report = written.text([written.netperf(timestamp=None)])
    run = tables(imported(tmp_path, {"x.json": report}, "", dataplane="ovn"))
    assert run["runs"][0]["started_at"] is None
    (trial,) = run["trials"]
    assert trial["started_at"] is trial["position"] is trial["offered_bps"] is None
    assert "mean of a test's samples" in " ".join(facts(run)["unknown"])


def test_bad_files_cost_themselves_alone_and_are_named(tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.json"
    outside.write_bytes(document(5))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1-link.json").symlink_to(outside)
    files = {
        "a/1-good.json": document(1),
        "a/1-again.json": document(1),
        "a/2-cut.json": document(2)[:-40],
        "a/3-empty.json": b"",
        "a/4-other.json": b'{"hello": 1}',
        "a/5-text.json": b"iperf Done.\n",
        "a/notes.txt": b"not of the pattern",
    }
    found = imported(tmp_path, files)
    assert [trial["imported_from"] for trial in tables(found)["trials"]] == ["a/1-again.json"]
    assert found.left_out == 1
    reasons = dict(fault.split(": ", 1) for fault in found.faults)
    assert sorted(reasons) == sorted(
        [*(n for n in files if n not in {"a/1-again.json", "a/notes.txt"}), "a/1-link.json"]
    )
    assert reasons["a/1-good.json"] == "it is the same file as a/1-again.json"
    assert "cut short" in reasons["a/2-cut.json"]
    assert reasons["a/3-empty.json"] == "it is empty"
    assert reasons["a/4-other.json"] == "it is no output of iperf3 -J, knb or k8s-netperf"
    assert list(found.faults) == facts(tables(found))["faults"]


REFUSED = written.text({"start": {"version": "iperf 3.16"}, "error": "unable to connect"})
KNB = written.text(written.knb_report())
KNB_YAML = yaml.safe_dump(written.knb_report(), sort_keys=False).encode()
CSV = written.NETPERF_CSV.encode()
ONE_CSV = CSV.partition(b"\n")[0] + b"\nnetperf,TCP_STREAM,false,false,false,10,1,3,1024,2702.230000,Mb/s,3.5,usec\n"


def netperf(**changed: object) -> bytes:
    return written.text([written.netperf(**changed)])


def other_end(n: int) -> bytes:
    """What the server printed of `document(n)`."""
    return written.text(written.tcp(9e8, at=written.NOON + 60 * n, cookie=f"cookie-{written.NOON + 60 * n}-{1e9 + n}"))


OTHER_END = "of the same test as {}, perhaps from the other end"
OTHER_ENDS = "of the same tests as 1.json, perhaps from the other end"
SECOND = f"1.json: measurement 2 of it is {OTHER_END.format('measurement 1')}"


@pytest.mark.parametrize(
    ("files", "trials", "faults"),
    [
        ({"1.json": document(1) + b"\n" + document(1)}, 1, [SECOND]),
        ({"1.json": document(1) + b"\n" + other_end(1)}, 1, [SECOND]),
        ({"1.json": document(1), "2.json": other_end(1)}, 1, ["2.json: it is " + OTHER_END.format("1.json")]),
        (
            {"1.json": document(1), "2.json": other_end(1) + b"\n" + document(2)},
            2,
            ["2.json: measurement 1 of it is " + OTHER_END.format("1.json")],
        ),
        ({"1.csv": CSV, "2.csv": CSV}, 3, ["2.csv: it is the same file as 1.csv"]),
        ({"1.csv": CSV, "2.csv.gz": gzip.compress(CSV)}, 3, ["2.csv.gz: it is the same file as 1.csv"]),
        ({"1.csv": ONE_CSV, "2.json": netperf()}, 1, ["2.json: it has the same figures as 1.csv"]),
        ({"1.json": netperf(), "2.csv": ONE_CSV}, 1, ["2.csv: it has the same figures as 1.json"]),
        ({"1.json": netperf(), "2.json": netperf().strip(b"[]")}, 1, ["2.json: it is " + OTHER_END.format("1.json")]),
        ({"1.json": netperf(), "2.json": netperf(timestamp="2023-11-15T22:13:20Z")}, 2, []),
        ({"1.json": netperf(), "2.json": netperf(throughput=2702.24)}, 2, []),
        ({"1.json": KNB, "2.yaml": KNB_YAML}, 2, [f"2.yaml: it is {OTHER_ENDS}"]),
        ({"1.json": REFUSED, "2.json": REFUSED, "3.json": document(1)}, 3, []),
    ],
)  # fmt: skip
def test_each_measurement_is_imported_once(
    tmp_path: Path, files: Mapping[str, bytes], trials: int, faults: list[str]
) -> None:
    found = imported(tmp_path, files, "", dataplane="a", topology="pod-to-pod")
    assert len(tables(found)["trials"]) == trials
    assert list(found.faults) == faults


def test_imported_test_that_never_began_is_a_failed_trial_of_its_path(tmp_path: Path) -> None:
    files = {f"a/{n}-p.json": document(n, num_streams=4) for n in (1, 2)} | {"b/1-p.json": document(3, num_streams=4)}
    found = imported(tmp_path, files | {"b/2-p.json": REFUSED})
    assert found.faults == ()
    run = tables(found)
    measured, failed = run["trials"][0], run["trials"][-1]
    assert (failed["outcome"], failed["error"]) == ("failed", "iperf3: unable to connect")
    kind = ("topology", "tool", "transport", "direction", "streams")
    assert [failed[name] for name in kind] == ["p", "iperf3_4", "tcp", "forward", 4]
    assert [failed[name] for name in kind] == [measured[name] for name in kind]
    assert "tests of the one kind that was measured on their path" in facts(run)["unknown"][-1]
    assert "By the times in the files" in " ".join(facts(run)["unknown"]), "the order of the others is known"


def test_imported_test_that_never_began_has_no_kind_where_its_path_has_several(tmp_path: Path) -> None:
    files = {"a/1-p.json": document(1), "a/2-p.json": document(2, num_streams=8), "a/3-p.json": REFUSED}
    run = tables(imported(tmp_path, files))
    (failed,) = [trial for trial in run["trials"] if trial["outcome"] == "failed"]
    assert (failed["tool"], failed["transport"], failed["direction"]) == ("iperf3", None, None)
    assert "their kind stays unknown" in facts(run)["unknown"][-1]
    parameters = cast("Row", run["runs"][0]["parameters"])
    assert all("None" not in str(cell) for cell in cast("list[Row]", parameters["cells"]))


def test_import_of_an_unnamed_place_is_a_fault(tmp_path: Path) -> None:
    assert imported(tmp_path, {"x.json": document(1)}, "").runs == ()
    assert "nothing names its dataplane" in imported(tmp_path, {}, "").faults[0]
    assert "nothing names its topology" in imported(tmp_path, {}, "", dataplane="a").faults[0]


def test_each_value_of_run_is_a_run_of_its_own(tmp_path: Path) -> None:
    files = {f"{run}/a.json": document(n) for n, run in enumerate(("May 1", "may-1", "june"))}
    found = imported(tmp_path, files, "{run}/{dataplane}.json", topology="p")
    ids = [str(run["runs"][0]["run_id"]) for run in found.runs]
    assert len(set(ids)) == 3, "names that differ stay apart"
    assert all(map(is_run_id, ids))
    assert {"imported_a_june", "imported_a_may-1"} < set(ids)


@pytest.mark.parametrize("names", [("Calico eBPF", "calico_ebpf"), ("日本", "中国")])
def test_two_dataplanes_or_topologies_are_never_averaged_into_one(tmp_path: Path, names: tuple[str, str]) -> None:
    files = {f"{name}/1.json": document(n) for n, name in enumerate(names)}
    run = tables(imported(tmp_path, files, "{dataplane}/{visit}.json", topology="p"))
    assert len({visit["dataplane_requested"] for visit in run["visits"]}) == 2
    shown = cast("list[Row]", cast("Row", run["runs"][0]["parameters"])["dataplanes"])
    assert {side["title"] for side in shown} == set(names)
    run = tables(imported(tmp_path, files, "{topology}/{visit}.json", dataplane="a"))
    assert len({trial["topology"] for trial in run["trials"]}) == 2
    assert len(run["visits"]) == 1


def test_dataplane_has_one_name_in_all_runs_of_an_import(tmp_path: Path) -> None:
    files = {"1/calico_ebpf.json": document(1), "2/Calico eBPF.json": document(2), "2/calico_ebpf.json": document(3)}
    found = imported(tmp_path, files, "{run}/{dataplane}.json", topology="p")
    first, second = ({row["dataplane_requested"] for row in run["visits"]} for run in found.runs)
    assert first < second
    assert all(
        facts(run)["unknown"][-1].startswith("Whether 'Calico eBPF' and 'calico_ebpf' are one dataplane is unknown")
        for run in found.runs
    )


def test_folder_whose_name_is_no_utf_8_is_imported(tmp_path: Path) -> None:
    for name in (b"\xff", b"\xfe"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        (folder / "1.json").write_bytes(document(name[0]))
    run = tables(imported(tmp_path, {}, "{dataplane}/{visit}.json", topology="p"))
    assert sorted(str(trial["imported_from"]) for trial in run["trials"]) == [r"\xfe/1.json", r"\xff/1.json"]
    assert len(run["visits"]) == 2


def test_knb_names_its_own_paths_and_its_file_is_one_visit(tmp_path: Path) -> None:
    another = written.knb_report()
    another["metadata"]["date"] = "2023-11-14 22:23:00"
    files = {
        "cilium-1.knbdata": written.knbdata(),
        "calico-1.json.gz": gzip.compress(written.text(another)),
    }
    run = tables(imported(tmp_path, files, "{dataplane}-{visit}.*"))
    assert {trial["topology"] for trial in run["trials"]} == {"pod-to-pod", "pod-to-service"}
    assert [visit["dataplane_requested"] for visit in run["visits"]] == ["calico", "cilium"]
    idle = cast("list[Row]", run["visits"][1]["idle_nodes"])
    assert [node["node"] for node in idle] == ["node-a", "node-b"]


def test_dataplanes_have_a_colour_each_and_the_mapping_decides_the_baseline(tmp_path: Path) -> None:
    files = {f"{name}/1-p.json": document(n) for n, name in enumerate(("zeta", "alpha", "ebpf"))}
    parameters = cast("Row", tables(imported(tmp_path, files))["runs"][0]["parameters"])
    shown = cast("list[Row]", parameters["dataplanes"])
    assert [side["name"] for side in shown] == ["ebpf", "alpha", "zeta"]
    assert len({side["colour"] for side in shown}) == 3
    assert shown[0]["title"] == "eBPF"


def test_import_has_a_limit_of_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_TRIALS", 2)
    found = imported(tmp_path, {f"a/{n}-p.json": document(n) for n in (1, 2, 3)})
    assert len(tables(found)["trials"]) == 2
    (fault,) = found.faults
    assert fault.startswith("a/3-p.json: it and the files after it are left out: an import has at most 2 trials")
