"""The lab as a cluster: each verb of the port, in terms of the modules beside this one."""

import shlex
from typing import Final

from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import Arm
from steps.catalogue.options import Settings
from steps.catalogue.tools import served
from steps.catalogue.topologies import BY_NAME, CONTROL
from steps.cluster.lab import addresses, sandbox, state, topology
from steps.cluster.lab.dataplanes import load, traits
from steps.cluster.lab.services import all_ports
from steps.cluster.lab.signs import mechanisms
from steps.domain import Change, Finding, Moment, Placement, Sign, SwitchCost, Visit

_SHOWN_COMMANDS: Final = 40


class LabCluster:
    """Two nodes on one machine, as namespaces."""

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """Both nodes: either could forward by something else than the other."""
        return tuple(node.name for node in addresses.NODES)

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the lab, or a dataplane of it, can't be had here."""
        from steps.cluster.lab.preflight import findings  # noqa: PLC0415 (each verb pays for what it needs)

        return findings(settings)

    def provenance(self, settings: Settings) -> dict[str, object]:
        """What a reader needs to judge the figures."""
        from steps.cluster.lab.provenance import read_facts  # noqa: PLC0415

        return read_facts(settings)

    def snapshot(self) -> dict[str, object]:
        """Which namespaces of the lab there are, and what it was built for. In a new sandbox: none."""
        known = state.read_state() if sandbox.is_inside() else None
        return {
            "namespaces": topology.present_namespaces() if sandbox.is_inside() else [],
            "built_for": known.model_dump() if known else None,
        }

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Build a lab for this visit, unless it is there, and install the dataplane.

        Raises:
            Problem: a program is missing or failed, or this dataplane can't be had here.
            Unsupported: we are not in a sandbox.
        """
        _in_box()
        wanted = state.State.wanted(visit, settings)
        if state.read_state() == wanted:
            return []
        arm = Arm.parse(visit.dataplane)
        dataplane = load(arm)
        changes = self._raze()
        jobs = topology.build_lab(offloads=settings.offloads)
        lines = [shlex.join(job.full) for job in jobs][:_SHOWN_COMMANDS]
        offloads = "on" if settings.offloads else "off"
        changes.append(
            Change(
                what=f"two nodes, their pods and a client outside, underlay offloads {offloads}",
                command=" && ".join(dict.fromkeys(lines)),
            )
        )
        changes += dataplane.install(all_ports(settings.services), arm.burden)
        state.write_state(wanted)
        return changes

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Send traffic through Service and NodePort and look what forwarded it. Nothing is taken from the request."""
        del visit
        from steps.cluster.lab import counters  # noqa: PLC0415

        _in_box()
        if missing := sorted(set(addresses.NAMESPACES) - set(topology.present_namespaces())):
            raise Problem(f"the lab is not whole, {', '.join(missing)} missing: configure a dataplane first.")
        return counters.observe(moment)

    def cost(self) -> SwitchCost | None:
        """The lab is built anew for each dataplane, so there is no connection that could live through it."""
        return None

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """The lab is built anew for each dataplane, so there is nothing to leave."""
        del visit, reason
        return []

    def prepare(self, visit: Visit, settings: Settings) -> list[Placement]:
        """Start the servers of the visit's topologies and of the canary, and wait until they listen."""
        del settings
        from steps.cluster.lab import servers  # noqa: PLC0415

        _in_box()
        wanted = [topology for name, topology in BY_NAME.items() if name in {t.topology for t in visit.trials}]
        if not any(t.name == CONTROL for t in wanted):
            wanted.insert(0, BY_NAME[CONTROL])
        servers.stop()
        tools = served(trial.tool for trial in visit.trials)
        servers.start(servers.needed(wanted, tools))
        return [servers.placement(topology, tools) for topology in wanted]

    def clear(self) -> None:
        """End the servers, and whatever else runs in the lab's namespaces."""
        from steps.cluster.lab import servers  # noqa: PLC0415

        if sandbox.is_inside():
            servers.stop()

    def unfinished(self) -> Visit | None:
        """The visit that the lab stands for, while its servers run."""
        from steps.cluster.lab import servers  # noqa: PLC0415

        known = state.read_state() if sandbox.is_inside() else None
        if known is None or not servers.are_running():
            return None
        return Visit(visit=known.visit, round=known.round, dataplane=known.dataplane, trials=())

    def left(self) -> list[str]:
        """The lab goes as a whole."""
        return []

    def restore(self) -> list[Change]:
        """Take the lab away, whole or half-built. The machine itself was never changed."""
        # Outside a sandbox, a namespace that is called node-a is someone else's.
        return self._raze() if sandbox.is_inside() else []

    def _raze(self) -> list[Change]:
        state.clear_state()
        commands = [f"ip netns del {name}" for name in topology.remove_lab()]
        commands += [line for mechanism in mechanisms(traits()) for line in mechanism.remove()]
        return [Change(what="the lab that was there is gone", command=" && ".join(commands))] if commands else []


def _in_box() -> None:
    if not sandbox.is_inside():
        raise Unsupported(
            "the lab runs only in its sandbox, so that nothing of it is left behind: start it with `make run`."
        )
