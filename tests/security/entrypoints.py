"""The templates of the rendered manifest, with valid inputs and hostile ones."""

from typing import Any

import yaml

from steps.catalogue.options import Settings
from steps.settings.settings import choose_settings
from tests.ordinary import ROOT

Object = dict[str, Any]

MANIFEST: Object = yaml.load(
    (ROOT / "workflows" / "manifests" / "base" / "benchmark.yaml").read_text(),
    yaml.CSafeLoader,  # ten times as fast as the one in Python, and every process of pytest-xdist imports this
)

TEMPLATES: dict[str, Object] = {template["name"]: template for template in MANIFEST["spec"]["templates"]}

STEPS = {name: template["script"]["args"][-1] for name, template in TEMPLATES.items() if "script" in template}

PRIVILEGED = (
    'true, "hostPID": true, "serviceAccountName": "dataplane-benchmark-switch", "containers": [{"name": "main", '
    '"securityContext": {"privileged": true}}], "volumes": [{"name": "root", "hostPath": {"path": "/"}}]'
)

HOSTILE = (
    PRIVILEGED, "", " ", "../../..", "..", "/etc/passwd", "-3", "3", "03/../../x", "03\n", "\n03", "\u0663\u0663",
    "{{workflow.name}}", "{{=workflow.name}}", "'", '"', "\\", "a' ? 'b' : 'c", "\x00", "\x1b]0;title\x07", "x" * 300,
    "-rf", "1e9s", "999999999999s", "Succeeded\n", "[red]", "refused", "null", "{}", "[]", "true",
)  # fmt: skip


def chosen(dataplanes: str = "") -> Settings:
    return choose_settings(
        profile="smoke", environment="prod", results="s3://b", seed_source=lambda: 1, dataplanes=dataplanes
    )


SETTINGS = chosen(dataplanes="ebpf").model_dump_json()

VALID = {
    "settings": SETTINGS, "visit": "01", "what": "pod-to-service", "client-node": "node-a", "network": "pod",
    "timeout": "1800s", "title": "pod-to-service.ebpf.visit-1", "dataplane": "ebpf", "round": "1",
    "level": "01", "visits": "[]",
    "status": "Succeeded", "restored": "Succeeded", "configured": "Succeeded", "headline": "eBPF gains.",
    "outcome": "measured", "regression": "",
    "profile": "smoke", "dataplanes": "ebpf", "topologies": "", "options": "", "nodes": "", "label": "",
    "trigger": "submitted",
}  # fmt: skip


def inputs_of(template: Object) -> list[str]:
    return [parameter["name"] for parameter in template.get("inputs", {}).get("parameters", [])]


def valid(name: str) -> dict[str, str]:
    return {each: VALID[each] for each in inputs_of(TEMPLATES[name])}
