"""Credentials in the address of a store: refused wherever it is read, never shown, and never passed on."""

import json
import os
from pathlib import Path

import pytest

from analysis.errors import BadInput
from analysis.store.store import Store
from steps.settings import environment
from steps.settings.settings import choose_settings
from workflows.cli.app import main
from workflows.flags.run import RunFlags, SubmitFlags

ADDRESSES = (
    "s3://bucket/p?access_key=AKIAS3CRET&secret_key=s3cret",
    "s3://bucket?region=eu&secret_key=s3cret",
    "s3://bucket?Secret_Key=s3cret",
    "s3://AKIAS3CRET:s3cret@bucket/p",
    "s3://bucket/p?endpoint_override=https://AKIAS3CRET:s3cret@minio",
)
VERBS = (
    ["run", "--profile=smoke"],
    ["plan"],
    ["preflight"],
    ["report"],
    ["query"],
    ["query", "--sql=select 1"],
    ["shell"],
)
SENTENCE = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by the file that AWS_SHARED_CREDENTIALS_FILE names"


def assert_hidden(*texts: str) -> None:
    for text in texts:
        assert "s3cret" not in text.lower()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("verb", [*VERBS, ["deploy", "--context=prod"]], ids=lambda verb: "-".join(verb[:2]))
def test_verb_refuses_credentials_in_an_address(
    verb: list[str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main([*verb, f"--results={address}"]) == BadInput.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert SENTENCE in err
    assert_hidden(err)
    assert os.listdir(tmp_path) == [], "nothing was started"  # noqa: PTH208 - names only


@pytest.mark.parametrize("address", ADDRESSES)
def test_settings_of_a_run_refuse_credentials(address: str) -> None:
    """From which the workflow's arguments, run.json, the rows and the report are made."""
    for read in (
        lambda: choose_settings(results=address),
        lambda: RunFlags(results=address).settings(),
        lambda: SubmitFlags().chosen("prod", environment.results({environment.RESULTS: address})),
        lambda: Store(address),
    ):
        with pytest.raises(BadInput, match=SENTENCE) as raised:
            read()
        assert_hidden(str(raised.value), repr(raised.value))


def test_credentials_of_the_environment_reach_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAS3CRET")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    flags = RunFlags(results="s3://bucket/p", profile="smoke")
    settings = flags.settings()
    store = Store(settings.results)
    texts = [
        settings.model_dump_json(),
        json.dumps(flags.arguments(settings)),
        *flags.argv(settings),
        repr(store),
        store.url,
    ]
    texts += [store.location("reports/run-1/report.html"), json.dumps(flags.surroundings(settings))]
    assert_hidden(*texts)
