"""The cluster recipes, as far as they can be held without a cloud: schemas, the ports that are used, the shell."""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from steps.catalogue.tools import TOOLS
from steps.cluster.kube.workloads import probe_pods
from steps.tools.tool import FIRST_PORT, LAST_PORT, MONITOR_PORT

CLUSTERS = Path(__file__).parents[2] / "workflows" / "clusters"

RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["description", "protocol", "fromPort", "toPort"],
    "properties": {
        "description": {"type": "string"},
        "protocol": {"enum": ["-1", "4", "tcp", "udp", "icmp", "58", "50"]},
        "fromPort": {"type": "integer"},
        "toPort": {"type": "integer"},
    },
}
"""CNIIngressRule of Cluster API's AWS provider, v1beta2."""

KIND = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "apiVersion", "nodes"],
    "properties": {
        "kind": {"const": "Cluster"},
        "apiVersion": {"const": "kind.x-k8s.io/v1alpha4"},
        "name": {"type": "string"},
        "networking": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"disableDefaultCNI": {"type": "boolean"}, "podSubnet": {"type": "string"}},
        },
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "role": {"enum": ["control-plane", "worker"]},
                    "labels": {"additionalProperties": {"type": "string"}},
                },
            },
        },
    },
}
"""What kind's configuration, v1alpha4, knows of what is used here."""


def _rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((CLUSTERS / "capi-aws" / "ingress-rules.yaml").read_text())
    assert document["apiVersion"] == "infrastructure.cluster.x-k8s.io/v1beta2"
    rules: list[dict[str, Any]] = document["spec"]["network"]["cni"]["cniIngressRules"]
    return rules


def _open(protocol: str, port: int) -> bool:
    return any(r["protocol"] == protocol and r["fromPort"] <= port <= r["toPort"] for r in _rules())


def test_aws_security_group_rules_fit_their_schema() -> None:
    for rule in _rules():
        jsonschema.validate(rule, RULE)


@pytest.mark.parametrize(
    ("protocol", "port"),
    [
        ("tcp", 179),
        ("4", 0),
        ("udp", 4789),
        *((transport, tool.port) for tool in TOOLS for transport in tool.transports),
        *((transport, port) for transport in ("tcp", "udp") for port in (FIRST_PORT, LAST_PORT)),
        ("tcp", MONITOR_PORT),
        ("tcp", probe_pods.PORT),
        ("udp", probe_pods.PORT),
    ],
)
def test_aws_security_groups_open_every_used_port(protocol: str, port: int) -> None:
    assert _open(protocol, port)


def test_kind_cluster_has_two_workers_and_an_outside_client() -> None:
    document = yaml.safe_load((CLUSTERS / "kind" / "cluster.yaml").read_text())
    jsonschema.validate(document, KIND)
    workers = [node for node in document["nodes"] if node["role"] == "worker"]
    assert len([node for node in workers if "outside" not in node.get("labels", {})]) == 2
    assert len(workers) == 3


@pytest.mark.parametrize("script", sorted(CLUSTERS.glob("*/up.sh")), ids=lambda path: path.parent.name)
def test_cluster_scripts_are_valid_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert script.stat().st_mode & 0o100
    assert script.parent.name in (CLUSTERS / "README.md").read_text()


def test_cluster_script_names_a_missing_program(tmp_path: Path) -> None:
    shell = Path("/bin/sh")
    for script, program in (("kind", "docker"), ("capi-aws", "clusterctl")):
        (tmp_path / "dirname").write_text('#!/bin/sh\necho "${1%/*}"\n')
        (tmp_path / "dirname").chmod(0o755)
        variables = {"PATH": str(tmp_path), "AWS_REGION": "r", "AWS_SSH_KEY_NAME": "k"}
        done = subprocess.run(
            [str(shell), str(CLUSTERS / script / "up.sh")], env=variables, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (2, f"{program} is not on PATH: install it\n")


@pytest.mark.parametrize(("content", "checksum", "code"), [
    ("kind: Evil\n", "", 2),
    ("kind: List\n", hashlib.sha256(b"kind: List\n").hexdigest(), 0),
    ("kind: List\n", hashlib.sha256(b"kind: Other\n").hexdigest(), 2),
])  # fmt: skip
def test_calico_manifest_is_printed_only_with_its_checksum(
    tmp_path: Path, content: str, checksum: str, code: int
) -> None:
    (tmp_path / "curl").write_text(
        f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done; printf %s "{content}" >"$2"\n'
    )
    (tmp_path / "curl").chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CALICO_SHA256": checksum}
    done = subprocess.run(
        ["sh", "-euc", f". {CLUSTERS / 'calico.sh'}; calico_manifest"],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert done.stdout == ("" if code else content)
    assert ("set CALICO_SHA256=" in done.stderr) is bool(code)


@pytest.mark.parametrize("script", sorted(CLUSTERS.glob("*/up.sh")), ids=lambda path: path.parent.name)
def test_cluster_scripts_apply_no_address(script: Path) -> None:
    assert not re.search(r"apply.*https?:", script.read_text())
