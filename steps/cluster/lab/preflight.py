"""Can the lab, and each dataplane of it, be had on this machine? All reasons at once, each with what would mend it."""

import shutil
from collections.abc import Iterable
from typing import Final

from analysis.errors import Problem
from steps.catalogue.dataplanes import BY_NAME, Arm
from steps.catalogue.options import Settings
from steps.cluster.lab import box, capabilities
from steps.cluster.lab.dataplanes import load
from steps.cluster.lab.dataplanes.ebpf import OBJECT, PINNED
from steps.cluster.lab.namespaces import PACKAGES, Job, path, run
from steps.model import Finding

_TRIAL: Final = "preflight"
"""The namespace, and the pinned object, that a kernel's abilities are tried with."""

# Evidence looks for the traces of every rules-based dataplane, so their programs are needed whichever is measured.
_EVERYWHERE: Final = (
    *("ip", "bridge", "nsenter", "unshare", "mount", "umount", "ethtool", "iperf3"),
    *("iptables-nft", "nft"),
)
_OWN: Final[dict[str, tuple[str, ...]]] = {
    "iptables": ("iptables-nft-restore",),
    "nftables": (),
    "ebpf": ("bpftool", "tc"),
}
"""What only the dataplanes of one mechanism need: without it they are left out, and the others are measured."""

_FITTING_BPFTOOL: Final = (
    "install the one of this kernel, on Ubuntu by `sudo apt-get install -y linux-tools-common linux-tools-$(uname -r)`"
)
_BURDEN: Final = "burden="


def findings(settings: Settings) -> list[Finding]:
    """Everything that stands in the way, of the run and of each dataplane."""
    arms = [Arm.parse(text) for text in settings.dataplanes]
    # A name that is not the lab's is reported as such below; it needs no programs.
    ours = [arm for arm in arms if arm.name in BY_NAME and BY_NAME[arm.name].environment == "lab"]
    found = _programs()
    if not box.inside():
        found.append(
            Finding(
                severity="stop",
                subject="lab",
                reason="the lab is not in its box, without which an interrupted run would leave parts of it behind",
                remedy="start it with `make run`, or `python -m workflows run`",
            )
        )
    elif not any(f.severity == "stop" for f in found):
        found += _kernel()
        found += _netfilter(arm for arm in ours if not _absent(_OWN[load(arm).TRAITS.mechanism]))
    for text, arm in zip(settings.dataplanes, arms, strict=True):
        found += _arm(text, arm)
    return found


def _absent(programs: Iterable[str]) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


def _not_installed(missing: list[str]) -> tuple[str, str]:
    """The reason, and what would mend it."""
    packages = sorted({PACKAGES[program] for program in missing})
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} not installed", f"type `sudo apt-get install -y {' '.join(packages)}`"


def _programs() -> list[Finding]:
    missing = _absent(_EVERYWHERE)
    if not missing:
        return []
    reason, remedy = _not_installed(missing)
    return [Finding(severity="stop", subject="lab", reason=reason, remedy=remedy)]


def _refusal(jobs: Iterable[Job]) -> str | None:
    """What the first program that failed said; None if none did."""
    try:
        for job in jobs:
            run(job)
    except Problem as problem:
        return str(problem)
    return None


def _kernel() -> list[Finding]:
    """Try the links that the lab is made of, in a namespace that is taken away again."""
    path(_TRIAL).touch()
    links = {
        "veth": ("veth", "peer", "name", "trial-peer"),
        "bridge": ("bridge",),
        "vxlan": ("vxlan", "id", "1", "dstport", "4789", "dev", "lo"),
    }
    made = _refusal([Job(None, ("unshare", f"--net={path(_TRIAL)}", "true"))])
    if made is not None:
        path(_TRIAL).unlink()
        remedy = _remedy(made, "allow more of them: `sudo sysctl -w user.max_net_namespaces=10000`")
        return [
            Finding(severity="stop", subject="lab", reason=f"no network namespace can be made: {made}", remedy=remedy)
        ]
    found = []
    for kind, arguments in links.items():
        refused = _refusal([Job(_TRIAL, ("ip", "link", "add", f"trial-{kind}", "type", *arguments))])
        if refused is not None and capabilities.is_forbidden(refused):  # as all links will be
            reason = f"no links may be made: {refused}"
            remedy = capabilities.remedy(capabilities.missing())
            return [Finding(severity="stop", subject="lab", reason=reason, remedy=remedy)]
        if refused is not None:
            reason = f"the kernel makes no {kind} links: {refused}"
            remedy = f"load the module by `sudo modprobe {kind}`, or use a kernel that has it"
            found.append(Finding(severity="stop", subject="lab", reason=reason, remedy=remedy))
    return found


def _remedy(refused: str, otherwise: str) -> str:
    """What would mend a refusal: rights, where it is a matter of rights."""
    return capabilities.remedy(capabilities.missing()) if capabilities.is_forbidden(refused) else otherwise


def _netfilter(arms: Iterable[Arm]) -> list[Finding]:
    """Try what the rules-based dataplanes need in that same namespace, then take it away."""
    tried = {
        "iptables": Job(
            _TRIAL,
            ("iptables-nft-restore", "--noflush"),
            "*nat\n-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 1 -m comment --comment trial "
            "-j DNAT --to-destination 192.0.2.2:1\nCOMMIT\n"
            "*filter\n-A FORWARD -m conntrack --ctstate NEW -m addrtype --dst-type LOCAL -j ACCEPT\nCOMMIT\n",
        ),
        "nftables": Job(
            _TRIAL,
            ("nft", "-f", "-"),
            "table ip trial {\n chain c {\n type nat hook prerouting priority dstnat;\n"
            " fib daddr type local tcp dport 1 numgen random mod 1 vmap { 0 : accept }\n }\n}\n",
        ),
    }
    found = []
    for arm in {a.name: a for a in arms}.values():
        job = tried.get(load(arm).TRAITS.mechanism)
        refused = _refusal([job]) if job and path(_TRIAL).exists() else None
        if refused is not None:
            remedy = _remedy(refused, "use a kernel with nf_tables, conntrack and NAT, or leave it out")
            found.append(Finding(severity="skip", subject=arm.name, reason=refused, remedy=remedy))
    if path(_TRIAL).exists():
        run(Job(None, ("umount", "--no-mtab", "--lazy", str(path(_TRIAL)))))
        path(_TRIAL).unlink()
    return found


def _arm(text: str, arm: Arm) -> list[Finding]:
    why = _misnamed(arm) or _lacking(arm)
    if why is None:
        return []
    reason, remedy = why
    return [Finding(severity="skip", subject=text, reason=reason, remedy=remedy)]


def _misnamed(arm: Arm) -> tuple[str, str] | None:
    """Why there can be no such arm, and what to write instead."""
    entry = BY_NAME.get(arm.name)
    if entry is None or entry.environment != "lab" or entry.implementation is None:
        return "is not a dataplane of the lab", "choose one that is"
    if (arm.label or "").startswith(_BURDEN):
        if not (arm.label or "").removeprefix(_BURDEN).isdecimal():
            return "the burden is not a number of rules", f"write {arm.name}+burden=20"
        if load(arm).TRAITS.mechanism == "ebpf" and arm.burden:
            return "has no rules, so no burden can be put on it", "burden one that has rules"
    return None


def _lacking(arm: Arm) -> tuple[str, str] | None:
    """What this machine lacks for an arm, and what would mend it. Who may not have it anyway is told that alone."""
    if BY_NAME[arm.name].needs_root and not box.is_privileged():
        if capabilities.belongs_to_root():
            return (
                "needs root with CAP_SYS_ADMIN to load eBPF programs, and this root lacks it",
                capabilities.remedy(["CAP_SYS_ADMIN"]),
            )
        return "needs root: an ordinary user may not load eBPF programs", "run as root"
    mechanism = load(arm).TRAITS.mechanism
    if missing := _absent(_OWN[mechanism]):
        return _not_installed(missing)
    return _unloadable() if mechanism == "ebpf" and box.inside() else None


def _unloadable() -> tuple[str, str] | None:
    """Let this kernel's verifier judge the very object that would be used."""
    # Ubuntu's bpftool is a script that fails where it finds none for this kernel: that is not the kernel's refusal.
    if broken := _refusal([Job(None, ("bpftool", "version"))]):
        return f"bpftool doesn't work: {broken}", _FITTING_BPFTOOL
    target = PINNED / _TRIAL
    shutil.rmtree(target, ignore_errors=True)
    refused = _refusal([Job(None, ("bpftool", "prog", "loadall", str(OBJECT), str(target)))])
    shutil.rmtree(target, ignore_errors=True)
    if refused is None:
        return None
    remedy = _remedy(refused, "use a kernel of 5.10 or newer with CONFIG_BPF_SYSCALL, or leave it out")
    return f"the kernel takes no eBPF program: {refused}", remedy
