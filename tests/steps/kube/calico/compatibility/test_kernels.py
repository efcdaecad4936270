"""The kernels that are refused, and those that only give a warning."""

import pytest

from steps.cluster.kube.plugins.calico.compatibility import kernels
from tests.steps.kube.calico.clusters import findings, node
from tests.steps.kube.fakes.calico import Calico


@pytest.mark.parametrize(
    ("kernel", "system", "verdict"),
    [
        ("6.1.0-13-amd64", "Debian GNU/Linux 12 (bookworm)", "fit"),
        ("5.10.0", "Debian GNU/Linux 11 (bullseye)", "fit"),
        ("5.4.0-150-generic", "Ubuntu 20.04.6 LTS", "warned of"),
        ("5.3.0", "Ubuntu 19.10", "warned of"),
        ("5.3.0-24-generic", "Ubuntu 19.10", "warned of"),
        ("5.2.21", "Fedora", "refused"),
        ("4.18.0-348.el8.x86_64", "Red Hat Enterprise Linux 8.5 (Ootpa)", "warned of"),
        ("4.18.0-193.el8.x86_64", "CentOS Linux 8 (Core)", "warned of"),
        ("4.18.0-553.16.1.el8_10.x86_64", "Rocky Linux 8.10 (Green Obsidian)", "warned of"),
        ("4.18.0-147.el8.x86_64", "CentOS Linux 8 (Core)", "refused"),
        ("4.18.0-348.el8.x86_64", "", "warned of"),
        ("4.18.0-25-generic", "Ubuntu 18.04.3 LTS", "refused"),
        ("4.19.0-25-amd64", "Debian GNU/Linux 10 (buster)", "refused"),
        ("3.10.0-1160.el7.x86_64", "CentOS Linux 7 (Core)", "refused"),
        ("", "", "refused"),
        ("odd", "", "refused"),
    ],
)
def test_minimum_kernel_of_ebpf(kernel: str, system: str, verdict: str) -> None:
    calico = Calico()
    node(calico)["status"]["nodeInfo"].update(kernelVersion=kernel, osImage=system)
    about = [each for each in findings(calico, "iptables,ebpf") if "has kernel" in each.reason]
    assert {each.severity for each in about} == {"fit": set(), "warned of": {"warn"}, "refused": {"skip"}}[verdict]
    assert all(kernel in each.reason for each in about)
    assert not [each for each in findings(calico, "iptables") if "has kernel" in each.reason]


@pytest.mark.parametrize(
    ("kernel", "skips", "severities"),
    [("5.13.0", "", set()), ("5.10.0", "", {"skip"}), ("5.10.0", "1", {"warn"}), ("6.1.0", "1", set())],
)
def test_minimum_kernel_of_nftables(kernel: str, skips: str, severities: set[str]) -> None:
    calico = Calico()
    node(calico)["status"]["nodeInfo"]["kernelVersion"] = kernel
    variable = {"name": "KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK", "value": skips}
    calico.kube_proxy["spec"]["template"]["spec"]["containers"][0]["env"].append(variable)
    about = [each for each in findings(calico, "nftables") if "has kernel" in each.reason]
    assert {each.severity for each in about} == severities


def test_kernel_versions_are_compared_numerically() -> None:
    assert kernels.is_at_least("10.2", "5.10")
    assert not kernels.is_at_least("4.18.0-99.el8", "4.18.0-193")
    assert not kernels.is_at_least("4.18.0", "4.18.0-193")
