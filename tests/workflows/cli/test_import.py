"""The verb import, as a user calls it: into a store, again, with more and fewer files; and what works on it then."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from analysis.errors import BadInput
from analysis.sql import database
from analysis.store.store import Store
from tests.steps.builders import RECORDED
from tests.steps.imports import written
from workflows.cli.imports import import_results
from workflows.cli.results import report_again

pytestmark = pytest.mark.usefixtures("without_charts")

PATTERN = "{dataplane}/{visit}-{topology}.json"
RUN = "imported_others_all"


def files(folder: Path, visits: int = 4) -> Path:
    """iptables and Cilium on two paths, which took turns; Cilium is a third faster, with some noise."""
    for n in range(1, visits + 1):
        for k, (side, gain) in enumerate((("iptables", 1.0), ("Cilium", 1.33))):
            for m, path in enumerate(("pod-to-pod", "over-the-wan")):
                at = written.NOON + 600 * n + 60 * k + 20 * m
                document = written.tcp(1e9 * gain * (1 + 0.01 * (n % 3) * (-1) ** k), at=at)
                (folder / side).mkdir(parents=True, exist_ok=True)
                (folder / side / f"{n}-{path}.json").write_bytes(written.text(document))
    return folder


def run(folder: Path, store: Path, **flags: object) -> int:
    given = {"files": str(folder), "name": "others", "pattern": PATTERN, "results": str(store)} | flags
    return import_results(**given)  # type: ignore[arg-type]


def stored(store: Path) -> Mapping[str, bytes]:
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*.parquet")}


def rows(store: Path, sql: str) -> list[dict[str, object]]:
    with closing(database.connect(Store(str(store)))) as con:
        found: list[dict[str, object]] = database.query(con, sql).to_pylist()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files(tmp_path / "files")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_importing_twice_is_importing_once(folder: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, store) == 0
    assert f"{RUN}: 16 trials from 16 files." in capsys.readouterr().out
    first = stored(store)
    assert run(folder, store) == 0
    assert "already imported, 16 trials; nothing changed" in capsys.readouterr().out
    assert stored(store) == first


def test_report_has_a_verdict_and_names_what_is_unknown(folder: Path, store: Path) -> None:
    run(folder, store)
    verdict = stored(store)
    assert report_again(results=str(store)) == 0
    page = (store / "reports" / RUN / "report.html").read_text()
    assert "Cilium is best or as good on all 2 kinds of traffic." in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "Imported figures: another tool measured them." in page
    assert "What is unknown of these figures" in page
    assert "Another tool measured these visits" in page
    assert "over the wan" in page, "a path of no catalogue has its name"
    assert "make run" not in page, "it can't be continued by measuring here"
    assert stored(store) != verdict
    run(folder, store)
    assert rows(store, "select verdict from runs")[0]["verdict"] is not None, "importing again keeps the verdict"


def test_import_without_visits_has_no_verdict(folder: Path, store: Path) -> None:
    run(folder, store, pattern="{dataplane}/{repetition}-{topology}.json")
    report_again(results=str(store))
    page = (store / "reports" / RUN / "report.html").read_text()
    assert "Which dataplane is best is undecided on all 2 kinds of traffic." in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "The rounds of its visits are not known" in page


def test_every_question_can_be_asked_of_it(folder: Path, store: Path) -> None:
    run(folder, store)
    with closing(database.connect(Store(str(store)))) as con:
        for question in database.questions():
            database.answer_question(con, question.name)
        trend = database.answer_question(con, "trend", environment="imported:others").to_pylist()
    assert {row["visits"] for row in trend} == {4}
    assert len(trend) == 4


def test_imported_run_without_time_is_the_latest_of_its_environment(tmp_path: Path, store: Path) -> None:
    (tmp_path / "x.csv").write_text(written.NETPERF_CSV)
    run(tmp_path / "x.csv", store, pattern="", dataplane="ovn", name="net")
    assert rows(store, "select run_id, run_started_at from latest_runs") == [
        {"run_id": "imported_net_all", "run_started_at": None}
    ]
    assert report_again(results=str(store)) == 0


def test_files_that_a_run_has_are_not_lost_unnoticed(folder: Path, store: Path) -> None:
    run(folder, store)
    before = stored(store)
    (folder / "Cilium" / "4-pod-to-pod.json").unlink()
    with pytest.raises(BadInput, match="with 1 file not among these"):
        run(folder, store)
    assert stored(store) == before
    assert run(folder, store, replace=True) == 0
    assert rows(store, "select count(*) as n from trials") == [{"n": 15}]


def test_import_of_more_files_or_another_mapping_replaces_a_run(folder: Path, store: Path, tmp_path: Path) -> None:
    run(folder, store)
    files(folder, visits=5)
    mapping = tmp_path / "names.toml"
    mapping.write_text('[dataplanes]\nCilium = {name = "ebpf", title = "Cilium 1.15"}\n')
    run(folder, store, mapping=str(mapping), label="before")
    assert rows(store, "select distinct dataplane, title, label, baseline from measurements order by all") == [
        {"dataplane": "ebpf", "title": "Cilium 1.15", "label": "before", "baseline": "ebpf"},
        {"dataplane": "iptables", "title": "iptables", "label": "before", "baseline": "ebpf"},
    ]
    assert rows(store, "select count(*) as n from trials") == [{"n": 20}]


def test_import_names_a_bad_file_and_imports_the_others(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "Cilium" / "9-pod-to-pod.json").write_bytes(b'{"start": \x1b[2J')
    assert run(folder, store) == 1
    said = capsys.readouterr()
    assert "Not imported: Cilium/9-pod-to-pod.json: " in said.err
    assert "\x1b" not in said.err
    assert "16 trials" in said.out


def test_imported_test_that_never_began_is_a_failed_trial_of_the_report(
    folder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = (RECORDED / "refused-3.12.json").read_bytes()
    (folder / "Cilium" / "5-pod-to-pod.json").write_bytes(refused)
    (folder / "Cilium" / "5-elsewhere.json").write_bytes(refused)
    assert run(folder, store) == 0
    assert "18 trials, 2 of them failed from 18 files" in capsys.readouterr().out
    assert report_again(results=str(store)) == 0
    page = (store / "reports" / RUN / "report.html").read_text()
    assert "unable to connect to server" in page
    assert "cilium on elsewhere iperf3" in page
    assert "None" not in page


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"name": ""}, "can't be that of imported figures"),
        ({"name": "../x"}, "can't be that of imported figures"),
        ({"files": ""}, "nothing to import was given"),
        ({"files": "/nowhere"}, "/nowhere is not there"),
        ({"mapping": "/nowhere.toml"}, "/nowhere.toml does not exist"),
        ({"mapping": "/"}, "the mapping / can't be used: "),
        ({"files": "~nobody-here/x"}, "FILES can't be '~nobody-here/x': ~nobody-here is nobody's home here"),
        ({"files": "/tmp,~nobody-here"}, "FILES can't be '~nobody-here': ~nobody-here is nobody's home here"),
        ({"mapping": "~nobody-here/x"}, "MAPPING can't be '~nobody-here/x': ~nobody-here is nobody's home here"),
        ({"pattern": "{topology}.json"}, "fits none of the paths"),
        ({"label": "a\nb"}, "a label is"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(
    folder: Path, store: Path, flags: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason):
        run(folder, store, **flags)
    assert not store.exists()


def test_home_of_this_user_is_opened_in_paths_alone(
    folder: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~nobody-here.toml").write_text("")
    assert run(folder, store, files="~/files", mapping="./~nobody-here.toml") == 0


def test_measured_runs_are_of_no_imported_environment(folder: Path, store: Path) -> None:
    run(folder, store)
    assert rows(store, "select distinct environment, trigger from runs") == [
        {"environment": "imported:others", "trigger": "imported"}
    ]
