"""The admission policies admit the fields that a switch sets, and no other field of the same objects."""

import copy
import json

import pytest

from steps.cluster.kube.api.permissions import PERMISSIONS
from tests.ordinary import ROOT
from tests.security.policies.test_admission_policies import SWITCH, Object
from tests.workflows.policies import CONTROLLER, refusals
from workflows.template import admission

OBJECTS: Object = json.loads((ROOT / "tests/steps/kube/recorded/objects-iptables.json").read_text("utf-8"))
INSTALLATION: Object = {
    "metadata": {"name": "default"},
    "spec": {"registry": "quay.io/", "calicoNetwork": {"bgp": "Enabled", "ipPools": [{"cidr": "10.0.0.0/16"}]}},
}


def patched(plural: str, before: Object, *path: str, value: object) -> list[str]:
    """What the policy for a kind has against setting a field; None takes it away."""
    after = copy.deepcopy(before)
    place = after
    for key in path[:-1]:
        place = place.setdefault(key, {})
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    name = f"{admission.PATCHES}-{plural}"
    assert refusals(name, after, old=before, user=CONTROLLER, operation="UPDATE") == []
    return refusals(name, after, old=before, user=SWITCH, operation="UPDATE")


NODE = ("spec", "template", "spec")


@pytest.mark.parametrize(("plural", "before", "path", "value"), [
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "nodeSelector", "non-calico"), "true"),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "nodeSelector", "non-calico"), ""),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "nodeSelector", "non-calico"), None),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "bpfEnabled"), True),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "bpfExternalServiceMode"), "DSR"),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "bpfExternalServiceMode"), ""),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "nftablesMode"), "Auto"),
    ("felixconfigurations", {"metadata": {"name": "default"}}, ("spec", "bpfEnabled"), False),
    ("installations", INSTALLATION, ("spec", "calicoNetwork", "linuxDataplane"), "BPF"),
    ("installations", INSTALLATION, ("spec", "calicoNetwork", "kubeProxyManagement"), "Enabled"),
])  # fmt: skip
def test_accounts_set_the_fields_of_a_switch(plural: str, before: Object, path: tuple[str, ...], value: object) -> None:
    assert patched(plural, before, *path, value=value) == []


@pytest.mark.parametrize(("plural", "before", "path", "value"), [
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "containers"), [{"name": "x", "image": "evil.example/x:1"}]),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "initContainers"), [{"name": "x", "image": "evil.example/x:1"}]),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "hostPID"), True),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "serviceAccountName"), "argo"),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "nodeSelector", "kubernetes.io/os"), "none"),
    ("daemonsets", OBJECTS["kube_proxy"], (*NODE, "nodeSelector", "never"), "true"),
    ("daemonsets", OBJECTS["kube_proxy"], ("spec", "template", "metadata", "annotations"), {"x": "y"}),
    ("daemonsets", OBJECTS["kube_proxy"], ("spec", "updateStrategy"), {"type": "OnDelete"}),
    ("daemonsets", OBJECTS["kube_proxy"], ("spec", "template", "spec", "volumes"), None),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "failsafeInboundHostPorts"), []),
    ("felixconfigurations", OBJECTS["felix"], ("spec", "logFilePath"), "/etc/cron.d/x"),
    ("installations", INSTALLATION, ("spec", "registry"), "evil.example/"),
    ("installations", INSTALLATION, ("spec", "imagePath"), "evil"),
    ("installations", INSTALLATION, ("spec", "calicoNetwork", "ipPools"), []),
    ("installations", INSTALLATION, ("spec", "calicoNetwork"), None),
])  # fmt: skip
def test_accounts_set_no_other_field(plural: str, before: Object, path: tuple[str, ...], value: object) -> None:
    assert patched(plural, before, *path, value=value)


def test_every_patched_kind_has_a_policy() -> None:
    patched_kinds = {
        entry.plural for entry in PERMISSIONS if entry.verb == "patch" and entry.resource.plural != "configmaps"
    }
    names = {item["metadata"]["name"] for item in admission.build_admission()["items"]}
    assert {f"{admission.PATCHES}-{plural}" for plural in patched_kinds} <= names
