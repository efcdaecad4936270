"""The image's software bill of materials: its Python packages by the lock file, its Debian packages by dpkg.

python -m workflows.deployment.sbom requirements.lock /packages > sbom.cdx.json

Written as CycloneDX 1.6. The same contents give the same document.
"""

import json
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Final
from urllib.parse import quote

from analysis.console.terminal import printing
from analysis.errors import BadInput
from steps.cluster.kube.api.objects import Object
from steps.tasks.shared.pod import IMAGE

_NAMESPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""RFC 9562's namespace of URLs, from which the serial number is made."""

_LOCKED: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<rest>(?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE
)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_DPKG: Final = ("dpkg-query", "--show", "--showformat=${Package}\t${Version}\t${Architecture}\n")


def python_packages(lock: str) -> Iterator[Object]:
    """The components of a lock file as `make lock` writes it.

    Raises:
        BadInput: it has no packages.
    """
    found = list(_LOCKED.finditer(lock))
    if not found:
        raise BadInput("the lock file has no packages: make it by `make lock`.")
    for each in found:
        name = _name(each["name"])
        yield {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{each['version']}",
            "name": name,
            "version": each["version"],
            "purl": f"pkg:pypi/{name}@{quote(each['version'])}",
            "properties": [
                {"name": "dataplane-benchmark:locked-sha256", "value": value} for value in _HASH.findall(each["rest"])
            ],
        }


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def debian_packages(listed: str) -> Iterator[Object]:
    """The components in dpkg-query's list: name, version and architecture, a package a line."""
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{quote(version)}?arch={architecture}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill(components: Iterable[Object]) -> Object:
    """The document. No time is in it, and its serial number is made from its contents."""
    name, _, version = IMAGE.partition(":")
    ordered = sorted(components, key=lambda component: str(component["bom-ref"]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(ordered))}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": IMAGE, "name": name, "version": version}},
        "components": ordered,
    }


def installed(folder: str) -> set[str]:
    """The names of the Python packages in a folder, as components have them."""
    return {_name(distribution.metadata["Name"]) for distribution in distributions(path=[folder])}


def main(arguments: list[str]) -> int:
    """Print the bill of a lock file's packages that are in a folder, and of Debian's. Returns the exit code."""
    try:
        lock, folder = arguments
        there = installed(folder)
        locked = python_packages(Path(lock).read_text(encoding="utf-8"))
        components = [component for component in locked if component["name"] in there]
    except (OSError, ValueError, BadInput) as error:
        sys.stderr.write(f"no bill of materials: {error}\n")
        return BadInput.exit_code
    if shutil.which(_DPKG[0]):
        listed = subprocess.run(_DPKG, capture_output=True, text=True, check=True).stdout
        components += debian_packages(listed)
    sys.stdout.write(json.dumps(bill(components), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(printing(lambda: main(sys.argv[1:])))
