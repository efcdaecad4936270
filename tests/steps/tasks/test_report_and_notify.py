"""The tasks that end a run: the figures of the report, and the notification of its verdict."""

import errno
import json
import re
import threading
from pathlib import Path

import pytest

from analysis.store.store import Store
from analysis.summary.run import stored as summaries
from steps.collect import run_rows
from steps.settings import environment
from steps.tasks import notify, report
from tests.steps.builders import OF_RUN, RUN_ID, settings, write_run
from tests.steps.tasks.test_notify import Receiver

pytestmark = pytest.mark.usefixtures("without_charts")


@pytest.fixture
def termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHMARK_TERMINATION_LOG", str(tmp_path / "message"))
    monkeypatch.setenv(environment.ENVIRONMENT, "lab")
    for name, value in OF_RUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(environment.RESULTS, str(tmp_path / "store"))
    return tmp_path / "message"


def stored(tmp_path: Path) -> report.ReportResult:
    """A run that went well, in the store and reported."""
    write_run(tmp_path, settings(options="rounds=2", dataplanes="lab-iptables,lab-ebpf"), RUN_ID)
    Store(environment.results()).write(RUN_ID, run_rows.run_rows(tmp_path))
    result: report.ReportResult = report.report(tmp_path / "report.html")
    return result


def test_report_step_outputs_the_key_metrics(termination_log: Path, tmp_path: Path) -> None:
    assert termination_log
    figures = json.loads(stored(tmp_path).figures)
    assert figures["trials measured"] > 0
    assert figures["throughput lab-ebpf pod-to-service"] > 1e9
    claims = ("good", "worse", "mixed", "undecided")
    kinds = [sum(figures[f"kinds {name} {claim}"] for claim in claims) for name in ("lab-iptables", "lab-ebpf")]
    assert kinds[0] == kinds[1] > 0
    assert (tmp_path / "store" / "summary.md").read_text().startswith("**")
    assert all(isinstance(value, float) for value in figures.values())


@pytest.mark.parametrize("beside", [True, False])
def test_report_step_updates_the_site_of_the_deployment(
    termination_log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    beside: bool,  # noqa: FBT001
) -> None:
    assert termination_log
    place = tmp_path / ("store/site" if beside else "www")
    monkeypatch.setenv(environment.SITE, environment.BESIDE if beside else str(place))
    stored(tmp_path)
    assert (place / f"runs/{RUN_ID}.html").is_file()
    (place / "site.json").write_text("{")
    assert report.report(tmp_path / "report.html").headline
    assert "The site can't be brought up to date: " in capsys.readouterr().err


def test_notification_is_off_by_default(termination_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.NOTIFY_URL, " ")
    assert notify.notify("Succeeded", "Succeeded").notification == notify.NO_ADDRESS
    assert not termination_log.exists()


def test_notification_has_the_verdict(termination_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = stored(tmp_path)
    with Receiver().running() as receiver:
        monkeypatch.setenv(environment.NOTIFY_URL, receiver.url)
        assert notify.notify("Succeeded", "Succeeded").notification == "notified: the answer was 200"
    assert receiver.bodies[0]["headline"] == result.headline
    assert receiver.bodies[0]["report"].endswith(f"/store/reports/{RUN_ID}/report.html")
    assert not termination_log.exists()


def test_failed_notification_is_reported_but_no_failure(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver(404).running() as receiver:
        monkeypatch.setenv(environment.NOTIFY_URL, receiver.url)
        sentence = notify.notify("Failed", "Succeeded").notification
    assert "it answered 404" in sentence
    assert sentence in capsys.readouterr().err
    assert receiver.bodies[0]["headline"] is None
    assert not termination_log.exists()


@pytest.mark.parametrize("restored", ["Succeeded", "Failed"])
def test_run_is_notified_of_though_its_store_is_away(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], restored: str
) -> None:
    monkeypatch.setenv(environment.ENVIRONMENT, "prod")
    monkeypatch.setenv(environment.RESULTS, "s3://bucket")
    for name, value in (("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ACCESS_KEY_ID", "a")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    check_told_without_summary(restored, termination_log, monkeypatch, "can't reach s3://bucket: nothing answers")
    assert "The run's summary can't be read: can't reach s3://bucket" in capsys.readouterr().err


@pytest.mark.parametrize("restored", ["Succeeded", "Failed"])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MemoryError(), "Memory ran out"),
        (OSError(errno.EMFILE, "Too many open files"), "[Tt]oo many"),
        (RuntimeError("can't start new thread"), "No more threads can be started"),
        (ValueError("odd"), "ValueError: odd"),
        (None, "the store did not answer within 0.1 s; check BENCHMARK_RESULTS"),
    ],
)
def test_run_is_notified_of_whatever_its_store_does(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, why: str, restored: str
) -> None:
    release = threading.Event()

    def find_summary(*_: object) -> None:
        if error is not None:
            raise error
        release.wait(30)

    monkeypatch.setenv(environment.ENVIRONMENT, "prod")
    monkeypatch.setattr(summaries, "find_summary", find_summary)
    monkeypatch.setattr(notify, "SUMMARY_S", 0.1 if error is None else 60)
    check_told_without_summary(restored, termination_log, monkeypatch, why)
    release.set()


def check_told_without_summary(restored: str, termination_log: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """The run's end is posted with the reason why there is no verdict, and a failed restore still fails the step."""
    with Receiver().running() as receiver:
        monkeypatch.setenv(environment.NOTIFY_URL, receiver.url)
        if restored == "Succeeded":
            assert notify.notify("Succeeded", restored).notification == "notified: the answer was 200"
        else:
            with pytest.raises(SystemExit):
                notify.notify("Succeeded", restored)
            assert termination_log.read_text().startswith("what the run changed was not put back")
    (body,) = receiver.bodies
    assert re.match(f"prod: The run ended as Succeeded. Its summary can't be read: {why}", body["text"])
    assert ("prod was NOT put back as it was." in body["text"]) == (restored == "Failed")
    assert re.match(f"Its summary can't be read: {why}", body["notice"])
    assert (body["headline"], body["report"]) == (None, None)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_failed_restore_fails_the_workflow_though_nothing_can_be_posted(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def post(*_: object) -> int:
        raise error

    monkeypatch.setenv(environment.ENVIRONMENT, "prod")
    monkeypatch.setenv(environment.NOTIFY_URL, "http://127.0.0.1:1/")
    monkeypatch.setattr("steps.notification.post", post)
    with pytest.raises(SystemExit):
        notify.notify("Succeeded", "Failed")
    assert termination_log.read_text().startswith("what the run changed was not put back")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("Failed", "what the run changed was not put back, for restore ended as Failed"),
        ("Error", "it is unknown whether what the run changed was put back, for restore ended as Error"),
    ],
)
def test_failed_restore_fails_the_workflow(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch, status: str, sentence: str
) -> None:
    monkeypatch.setenv(environment.ENVIRONMENT, "prod")
    with Receiver().running() as receiver:
        monkeypatch.setenv(environment.NOTIFY_URL, receiver.url)
        with pytest.raises(SystemExit) as ended:
            notify.notify("Succeeded", status)
    assert ended.value.code == 1
    assert termination_log.read_text().startswith(sentence)
    assert receiver.bodies[0]["restored"] is False


def test_failed_lab_restore_gives_no_message(termination_log: Path) -> None:
    """A full disk fails the step that puts things back, for its record can't be kept; the lab goes with its sandbox."""
    assert notify.notify("Failed", "Error").notification == notify.NO_ADDRESS
    assert not termination_log.exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1/s3cret",
        "https://hooks.example:99999/s3cret",
        "https://hooks.example:port/s3cret",
        "https://us:s3cret@[x]/",
        "https://hooks.example/\x1b]0;s3cret\x07",
        "https://b\u00fccher..example/s3cret",
        "s3cret",
    ],
)
def test_exit_handler_goes_on_with_any_notification_url(
    url: str, termination_log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(environment.NOTIFY_URL, url)
    sentence = notify.notify("Failed", "Succeeded").notification
    assert sentence.startswith("BENCHMARK_NOTIFY_URL is no address: ")
    printed = capsys.readouterr().err
    assert printed == f"{sentence}\n"
    assert "s3cret" not in printed
    assert not termination_log.exists()


def test_exit_handler_goes_on_after_a_redirect_to_no_address(
    termination_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(302, location="https://[::1/s3cret").running() as receiver:
        monkeypatch.setenv(environment.NOTIFY_URL, receiver.url)
        sentence = notify.notify("Failed", "Succeeded").notification
    assert sentence.startswith("127.0.0.1 redirects to another address (302)")
    assert "s3cret" not in sentence
    assert not termination_log.exists()
