"""Every verb and option is in the documents, in Argo's form, among the flags and among the variables of `make`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from steps.catalogue.dataplanes import DATAPLANES, of_kind
from steps.catalogue.environments import LAB
from steps.catalogue.factors import FACTORS
from steps.catalogue.option_fields import Option
from steps.catalogue.options import OPTIONS, Settings, defaults
from steps.catalogue.profiles import BY_NAME
from steps.catalogue.tools import VARIANTS
from steps.catalogue.topologies import TOPOLOGIES
from tests.options import another
from tests.project.test_docs import DOCUMENTS, ROOT, TARGETS
from tests.project.test_make import Make, known
from workflows.cli import reference
from workflows.cli.app import app
from workflows.flags.run import RunFlags, SubmitFlags
from workflows.template.form import FORM

VERBS = reference.verbs()
RUN_VERBS = {"run": "here", "plan": "here", "preflight": "here", "submit": "cluster"}
"""The verbs that take the options of a run, and the place at which each does."""

BY_OPTION = {option.name: option for option in OPTIONS}
FORM_TEXT = " ".join(str(field.description) for field in FORM)

TYPED = [option for option in OPTIONS if option.read]
WRITTEN = "\n".join(path.read_text() for path in DOCUMENTS if path not in reference.FILES)
"""All documents that are written by hand."""


@pytest.mark.parametrize("path", reference.FILES, ids=lambda path: path.name)
def test_files_generated_from_verbs_and_options_are_fresh(path: Path) -> None:
    assert path.read_text() == reference.FILES[path](), "type `make manifests`"


@pytest.mark.parametrize("verb", VERBS)
def test_verb_is_a_target_with_all_its_flags_and_in_the_documents(verb: str) -> None:
    assert verb in TARGETS
    withheld = {"ENVIRONMENT"} if verb == "run" else set()
    assert set(VERBS[verb]) - set(known()[verb]) == withheld
    assert re.search(rf"`?make {verb}\b", WRITTEN), f"no document says what `make {verb}` is for"
    assert f"| `{verb}` |" in reference.document()


def test_there_are_verbs_and_options() -> None:
    assert set(RUN_VERBS) < set(VERBS) == {name for name in app if not name.startswith("-")}
    reached = {"idle", "omit", "block_size", "congestion_control", "regression_limit"}
    assert reached < {option.name for option in OPTIONS}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_option_is_a_flag_and_in_the_form_and_in_the_documents(option: Option) -> None:
    for verb, place in RUN_VERBS.items():
        assert (option.name.upper() in VERBS[verb]) == (option.only in {None, place}), verb
    fields = {field.name: str(field.description) for field in FORM}
    if option.only != "here":
        assert option.name in fields or f" {option.name} ({option.values})" in fields["options"]
    rows = re.findall(rf"^\| (?:\*\*)?`{option.name}`(?:\*\*)? \| (.*?) \|", reference.document(), re.MULTILINE)
    assert rows == [option.help]
    assert option.help.endswith(".")


@pytest.mark.parametrize("name", [d.name for d in DATAPLANES])
def test_dataplane_is_in_the_documents_and_where_it_can_run_in_the_form_and_the_help(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| .*\S", reference.document(), re.MULTILINE)
    assert _has(name, BY_OPTION["dataplanes"].help)
    assert _has(name, FORM_TEXT) == (name not in [d.name for d in of_kind(LAB)])


@pytest.mark.parametrize("name", [*[t.name for t in TOPOLOGIES], *VARIANTS])
def test_topology_and_protocol_are_in_the_documents_the_form_and_the_help(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| .*\S", reference.document(), re.MULTILINE)
    option = BY_OPTION["protocols" if name in VARIANTS else "topologies"]
    assert _has(name, option.help)
    assert _has(name, FORM_TEXT)


def _has(name: str, text: str) -> bool:
    """Whether a text has a name as a word: `tcp`, and not as a part of `tcp-8`."""
    return re.search(rf"(?<![\w-]){name}(?![\w-])", text) is not None


@pytest.mark.parametrize("verb", RUN_VERBS)
def test_make_hands_every_option_to_the_verb(verb: str, tmp_path: Path) -> None:
    options = [option for option in OPTIONS if option.name.upper() in known()[verb]]
    assert len(options) >= len(TYPED)
    flags = Make(tmp_path).flags(verb, *(f"{option.name.upper()}=x" for option in options))
    assert flags == [f"--{option.name.replace('_', '-')}=x" for option in options]


@pytest.mark.parametrize("option", [o for o in TYPED if o.name != "continues"], ids=lambda option: option.name)
def test_option_reaches_the_settings_from_every_verb_and_from_the_form(option: Option) -> None:
    value = another(option)
    usual = {"seed": "1"} | ({"protocols": "udp"} if option.name == "rate" else {})
    typed = usual | {option.name: value}
    here, away = RunFlags(**typed), SubmitFlags(**typed)
    for chosen, default in (
        (here.settings(), RunFlags(**usual).settings()),
        (away.chosen("prod", "s3://bucket"), SubmitFlags(**usual).chosen("prod", "s3://bucket")),
    ):
        changed = {name for name in Settings.model_fields if getattr(chosen, name) != getattr(default, name)}
        field = "scales" if option.field in FACTORS else "cells"
        assert changed == {option.field if option.field in Settings.model_fields else field}
    assert f"{option.name}={value}" in away.form("submitted")["options"].split()
    assert f"--{option.name.replace('_', '-')}={value}" in here.argv(here.settings())


def test_unknown_flag_is_no_option_of_either() -> None:
    with pytest.raises(TypeError, match="nodes"):
        RunFlags(nodes="a,b")
    with pytest.raises(TypeError, match="results"):
        SubmitFlags(results="elsewhere")


@pytest.mark.parametrize("environment", ["lab", "prod"])
def test_defaults_by_profile_are_of_known_profiles(environment: str) -> None:
    unknown = defaults("no-profile", environment)
    assert not {"duration_s", "rounds", "seed"} & unknown.keys(), "only a profile has these"
    names = {
        name
        for field in Settings.model_fields.values()
        for default in field.metadata
        for by_profile in (getattr(default, "lab", None), getattr(default, "cluster", None))
        if isinstance(by_profile, dict)
        for name in by_profile
    }
    assert names == {*BY_NAME}


def test_new_option_is_one_entry(tmp_path: Path) -> None:
    """What docs/extending.md says, done in a copy: flags, form, make, documents, and the nights that are compared."""
    for name in ("analysis", "steps", "workflows", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.png"))
    for name in ("Makefile", "requirements.lock", "setup.sh"):
        shutil.copy(ROOT / name, tmp_path)
    (entry,) = re.findall(r"^    (pause_s: Annotated.*)$", (ROOT / "docs/extending.md").read_text(), re.MULTILINE)
    home = tmp_path / "steps/catalogue/options.py"
    home.write_text(home.read_text().replace("    label: str", f"    {entry}\n    label: str", 1))
    (tmp_path / "analysis/report/vega.py").write_text("")  # it bundles Vega for seconds, in which no option is
    (tmp_path / "ready").touch()
    make = ["make", f"BIN={Path(sys.executable).parent}", f"RUN_READY={tmp_path / 'ready'}"]

    def output(*words: str) -> str:
        done = subprocess.run([*make, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    output("manifests")
    assert "pause must be at most 60 s, got 61 s" in output("plan", "PAUSE=61")
    assert "| `pause` |" in (tmp_path / "docs/options.md").read_text()
    manifest = (tmp_path / "workflows/manifests/base/benchmark.yaml").read_text()
    assert "pause (0 to 60 s)" in " ".join(manifest.split())
    compared = "print(method({}) == method({'pause_s': 0}) != method({'pause_s': 1}))"
    asked = [sys.executable, "-c", f"from steps.catalogue.options import method; {compared}"]
    assert subprocess.check_output(asked, cwd=tmp_path, text=True) == "True\n"
