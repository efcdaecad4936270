"""A copy of the project in which tests follow docs/extending.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.ordinary import ROOT

GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_ENTRY = re.compile(r"^In `(\S+)`, among `(\w+)`:\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_IMPORT = re.compile(r"^That file imports it: `(.+?)`", re.MULTILINE)
_FILE = re.compile(r"^New, `(\S+)`:\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


class Copy:
    """The project, in a folder of its own. Subprocesses import from there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("analysis", "steps", "workflows", "tests"):
            shutil.copytree(ROOT / name, root / name)  # with its bytecode

    def follow(self, heading: str, *, files: bool = True) -> None:
        """Do what a section of the guide describes. `files`: or its entries alone."""
        section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        entries, written = _ENTRY.findall(section), _FILE.findall(section)
        assert entries or written, heading
        for path, catalogue, text in entries:
            self.insert(path, f"{catalogue}: Final = (\n", text)
            for line in _IMPORT.findall(section):
                self.insert(path, "from typing import Final\n", f"\n{line}\n")
        for path, text in written if files else ():
            (self.root / path).write_text(re.sub(r"^ {4}", "", text, flags=re.MULTILINE), encoding="utf-8")

    def insert(self, path: str, after: str, text: str) -> None:
        """Put a text into a file."""
        text_before = (self.root / path).read_text(encoding="utf-8")
        assert text_before.count(after) == 1, path
        (self.root / path).write_text(text_before.replace(after, after + text), encoding="utf-8")

    def run(self, program: str, prefix: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - JSON
        """What a program prints last, as JSON."""
        argv = [*prefix, sys.executable, "-c", program]
        env = os.environ | {"PYTHONPATH": str(self.root)}
        done = subprocess.run(argv, cwd=self.root, env=env, text=True, capture_output=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])


CHOSEN = """
import json
from steps.settings.schedule import make_schedule
from steps.settings.settings import choose_settings
from workflows.template.form import FORM
from workflows.flags.run import RunFlags

def chosen(**words):
    settings = choose_settings(seed_source=lambda: 1, **words)
    return [trial.topology for visit in make_schedule(settings) for trial in visit.trials], settings.dataplanes
form = " ".join(parameter.description for parameter in FORM)
"""
