"""The verb compare: what it prints and writes, in a folder and in a bucket."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from analysis.errors import Unsupported
from analysis.store.storage.object_storage import ObjectStorage
from analysis.store.store import Store
from tests.analysis.contrasted import gained, recipe, stored
from workflows.cli import app

pytestmark = pytest.mark.usefixtures("without_charts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = (recipe("one"), recipe("two", at=0.2, gains=gained(1.02, 1.1)), recipe("three", at=0.4))
    stored(tmp_path, *runs, parameters={"two": {"offloads": True, "label": "on"}})
    return tmp_path


def call(*argv: str) -> int:
    return app.main(["compare", *argv])


def test_compare_without_names_takes_the_last_two_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"--results={folder}") == 0
    printed = capsys.readouterr().out
    assert "A: two (2026-03-02 02:48 UTC) in lab" in printed
    assert "B: three" in printed
    assert "method: offloads true → false" in printed
    (page,) = (folder / "comparisons").glob("compare-two-three-*.html")
    assert f"Page: {page}" in printed.replace("\n", "")
    assert page.with_suffix(".md").read_text().startswith("**")


def test_names_are_given_by_place_or_by_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (("tw", "on"), ("label=on", "one"), ("--a=label=on", "--b=one"), ("lab:latest~1", "--b", "one")):
        assert call(*argv, f"--results={folder}") == 0
        assert "A: two" in capsys.readouterr().out


@pytest.mark.parametrize("wanted", ["json", "yaml", "csv", "markdown"])
def test_compare_prints_only_the_document_on_standard_output(
    folder: Path, capsys: pytest.CaptureFixture[str], wanted: str
) -> None:
    assert call("one", "two", f"--format={wanted}", f"--results={folder}") == 0
    printed = capsys.readouterr().out
    begins = {"json": "{", "yaml": "document: compare", "csv": "metric,", "markdown": "**"}
    assert printed.startswith(begins[wanted])
    if wanted == "json":
        assert json.loads(printed)["page"].endswith(".html")


@pytest.mark.parametrize("wanted", ["text", "json"])
def test_compare_in_a_store_that_can_only_be_read_prints_all_but_the_page(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    def refuse(_self: ObjectStorage, _name: str, _content: bytes) -> None:
        raise Unsupported(f"can't write {folder}: its file system is read-only; choose another RESULTS")

    monkeypatch.setattr(ObjectStorage, "put", refuse)
    assert call("one", "two", f"--format={wanted}", f"--results={folder}") == 0
    printed = capsys.readouterr()
    assert "its file system is read-only; choose another RESULTS. The comparison is printed without its" in printed.err
    assert not (folder / "comparisons").exists()
    if wanted == "json":
        assert json.loads(printed.out)["page"] == ""
    else:
        assert "A: one" in printed.out
        assert "Page: " not in printed.out


def test_compare_page_of_labels_keeps_its_name_when_a_run_is_added(folder: Path) -> None:
    assert call("one", "label=on", f"--results={folder}") == 0
    stored(
        folder, recipe("four", at=1), recipe("five", at=2), parameters={n: {"label": "on"} for n in ("four", "five")}
    )
    assert call("one", "label=on", f"--results={folder}") == 0
    names = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "comparisons").glob("*.html"))
    assert names == ["compare-one-label-on", "compare-one-two"]
    assert call("one", "label=on", f"--results={folder}") == 0
    assert len(list((folder / "comparisons").glob("*.html"))) == 2


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["one", "nope"], "no run is called 'nope'"),
        (["one", "one"], "a run can't be compared with itself"),
        (["../x", "one"], "no run is called '../x'"),
        (["one"], ""),
    ],
)
def test_compare_of_an_unknown_run_is_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    code = call(*argv, f"--results={folder}")
    told = capsys.readouterr()
    assert code == (2 if says else 0)
    assert says in told.err
    assert "Traceback" not in told.err
    assert bool(told.out) == (code == 0)


def test_compare_names_a_damaged_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trials,) = (folder / "trials").glob("two.*")
    trials.write_bytes(trials.read_bytes()[:-9])
    assert call("one", "two", f"--results={folder}") == 2
    told = capsys.readouterr().err
    assert "trials/two." in told
    assert call("one", "three", f"--results={folder}") == 0
    assert call(f"--results={folder}") == 0
    assert "A: one" in capsys.readouterr().out, "the one before the latest that can be read"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    endpoint = f"{host}:{port}"
    fs.S3FileSystem(
        scheme="http", endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True
    ).create_dir("compared")
    yield "s3://compared/some/prefix"
    moto.stop()


@pytest.mark.s3
def test_compare_in_an_s3_bucket(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored(bucket, recipe("one"), recipe("two", at=1))
    assert call("one", "two", f"--results={bucket}") == 0
    assert f"{bucket}/comparisons/compare-one-two-" in capsys.readouterr().out.replace("\n", "")
    (page,) = (file for file in Store(bucket).files.list("comparisons") if file.name.endswith(".html"))
    assert Store(bucket).files.read(f"comparisons/{page.name}").startswith(b"<!doctype html>")
