"""Whether the lab, and each dataplane of it, is possible on this machine: all reasons at once, with remedies."""

import re
import shutil
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from analysis.errors import BadInput, Unsupported
from steps.catalogue.dataplanes import Arm
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.catalogue.tools import served
from steps.cluster.lab import capabilities, factors, kernel_support, sandbox
from steps.cluster.lab.dataplanes import load, traits
from steps.cluster.lab.kernel_support import Refusal
from steps.cluster.lab.mechanism import Mechanism, mechanisms
from steps.cluster.lab.network.addresses import NAMESPACES
from steps.cluster.lab.network.programs import Job, package_of, run_one, version_line
from steps.domain import Finding
from steps.namespaces import path
from steps.tools.tool import Tool

_EVERYWHERE: Final = ("ip", "bridge", "nsenter", "unshare", "mount", "umount", "ethtool")


def findings(settings: Settings) -> list[Finding]:
    """All reasons against the run, and against each dataplane."""
    found = _programs(settings)
    if not sandbox.is_inside():
        reason = "the lab is not in its sandbox, without which an interrupted run would leave parts of it behind"
        found.append(_finding((reason, "start it with `make run`, or `python -m workflows run`")))
    elif not any(f.severity == "stop" for f in found):
        found += _kernel()
    no_factor = "nothing in the lab makes this factor", "leave it out, or write its module in steps/cluster/lab/factors"
    found += [_finding(no_factor, name) for name in factors.missing(settings.scales)]
    try:
        for text in settings.dataplanes:
            if refusal := _lacking(Arm.parse(text), settings.scales):
                found.append(_finding(refusal, text, "skip"))
    finally:
        if sandbox.is_inside() and path(kernel_support.NAMESPACE).exists():
            run_one(Job(None, ("umount", "--no-mtab", "--lazy", str(path(kernel_support.NAMESPACE)))))
            path(kernel_support.NAMESPACE).unlink()
    return found


def _finding(refusal: Refusal, subject: str = "lab", severity: Literal["stop", "skip"] = "stop") -> Finding:
    reason, remedy = refusal
    return Finding(severity=severity, subject=subject, reason=reason, remedy=remedy)


def _absent(programs: Iterable[str]) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


def _not_installed(missing: list[str]) -> Refusal:
    packages = sorted({package_of(program) for program in missing})
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} not installed", f"type `sudo apt-get install -y {' '.join(packages)}`"


def _programs(settings: Settings) -> list[Finding]:
    counting = [program for mechanism in mechanisms(traits()) for program in mechanism.counting_programs]
    tools = served(cell.tool for cell in settings.cells)
    measuring = [program for tool in tools for program in tool.packages]
    missing = _absent(dict.fromkeys((*_EVERYWHERE, *measuring, *counting)))
    refusals = [_not_installed(missing)] if missing else list(filter(None, map(_outdated, tools)))
    return list(map(_finding, refusals))


def _outdated(tool: Tool) -> Refusal | None:
    """Why the installed version of a tool is too old, before a run fails each of its trials; None: it isn't."""
    line = version_line(tool.version) if tool.oldest else None
    found = re.search(r"\d+(?:\.\d+)+", line or "")
    if found is None or tuple(map(int, found[0].split("."))) >= tool.oldest:
        return None
    oldest = ".".join(map(str, tool.oldest))
    return (
        f"{tool.version[0]} {found[0]} is installed, whose output lacks figures that {oldest} and newer ones have",
        f"install {tool.version[0]} {oldest} or newer, which Debian 12 and Ubuntu 24.04 have",
    )


def _kernel() -> list[Finding]:
    """Try the links that the lab is made of, in a temporary namespace."""
    if too_few := _too_few_namespaces():
        return [too_few]
    path(kernel_support.NAMESPACE).touch()
    links = {
        "veth": ("veth", "peer", "name", "trial-peer"),
        "bridge": ("bridge",),
        "vxlan": ("vxlan", "id", "1", "dstport", "4789", "dev", "lo"),
    }
    if refused := kernel_support.failure([Job(None, ("unshare", f"--net={path(kernel_support.NAMESPACE)}", "true"))]):
        path(kernel_support.NAMESPACE).unlink()
        remedy = kernel_support.remedy(refused, "permit the mounts of namespaces in /run/netns")
        return [_finding((f"no network namespace can be kept under a name: {refused}", remedy))]
    found = []
    for kind, arguments in links.items():
        refused = kernel_support.failure(
            [Job(kernel_support.NAMESPACE, ("ip", "link", "add", f"trial-{kind}", "type", *arguments))]
        )
        if refused is not None and capabilities.is_forbidden(refused):  # as all links will be
            remedy = capabilities.capability_remedy(capabilities.missing_capabilities())
            return [_finding((f"no links may be made: {refused}", remedy))]
        if refused is not None:
            remedy = f"load the module by `sudo modprobe {kind}`, or use a kernel that has it"
            found.append(_finding((f"the kernel makes no {kind} links: {refused}", remedy)))
    return found


def _too_few_namespaces() -> Finding | None:
    """Try as many network namespaces at once as two labs have: the kernel frees those of the visit before late."""
    number = 2 * len(NAMESPACES)
    # each program stays in the namespace that it made until the last one has ended
    made = kernel_support.failure([Job(None, (*("unshare", "--net", "--fork") * number, "true"))])
    if made is None:
        return None
    reason = f"{number} network namespaces at once can't be made: {made.rpartition('exit code ')[2]}"
    remedy = kernel_support.remedy(made, "allow more of them: `sudo sysctl -w user.max_net_namespaces=10000`")
    return _finding((reason, remedy))


def _lacking(arm: Arm, scales: Sequence[Scale]) -> Refusal | None:
    """What this machine or this project lacks for an arm; the first reason alone."""
    try:
        mechanism = load(arm).TRAITS.mechanism
    except (BadInput, Unsupported) as error:
        return str(error), "leave it out, or see the README's `Add a dataplane`"
    if arm.burden and not mechanism.takes_burden:
        return "has no rules, so no burden can be put on it", "burden one that has rules"
    varies = len(scales) > 1 or any(f.is_made(mechanism, s) for f in factors.implemented().values() for s in scales)
    if varies and mechanism.tables is None:
        return "has no tables that change with the scale", "choose one value of services and endpoints, and no more"
    if mechanism.root_only is not None and not capabilities.is_privileged():
        return _unprivileged(mechanism)
    if missing := _absent(mechanism.programs):
        return _not_installed(missing)
    return mechanism.refusal() if sandbox.is_inside() else None


def _unprivileged(mechanism: Mechanism) -> Refusal:
    if capabilities.belongs_to_root():
        reason = f"needs root with CAP_SYS_ADMIN to {mechanism.root_only}, and this root lacks it"
        return reason, capabilities.capability_remedy(["CAP_SYS_ADMIN"])
    return f"needs root: an ordinary user may not {mechanism.root_only}", "run as root"
