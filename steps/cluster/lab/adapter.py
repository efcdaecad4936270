"""The lab as a cluster: each verb of the port."""

import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import msgspec

from analysis.errors import Problem, Unsupported
from steps.catalogue.dataplanes import Arm
from steps.catalogue.factors import Scale
from steps.catalogue.options import Settings
from steps.catalogue.tools import served
from steps.catalogue.topologies import BY_NAME, NODE_TO_NODE
from steps.cluster.lab import factors, kernel_memory, sandbox, servers, state, updates
from steps.cluster.lab.dataplanes import load, traits
from steps.cluster.lab.evidence import counters
from steps.cluster.lab.evidence.installed import after_a_factor, read_installed
from steps.cluster.lab.mechanism import mechanisms
from steps.cluster.lab.network import addresses, topology
from steps.cluster.lab.network.addresses import LabNode
from steps.cluster.lab.network.services import all_ports
from steps.cluster.lab.preflight import findings
from steps.cluster.lab.provenance import read_facts
from steps.domain import LAB_TURNS, Change, Finding, Moment, Placement, ScaleSign, Sign, SwitchCost, Trial, Visit
from steps.tools.programming import Agents

_SHOWN_COMMANDS: Final = 40


class LabCluster:
    """Two nodes on one machine, as namespaces."""

    @property
    def measured_nodes(self) -> tuple[str, ...]:
        """Both nodes, since each forwards on its own."""
        return tuple(node.name for node in addresses.NODES)

    def now(self) -> datetime:
        """This machine's clock, which both nodes have."""
        return datetime.now(UTC)

    def preflight(self, settings: Settings) -> list[Finding]:
        """All reasons at once why the lab, or a dataplane of it, is impossible here."""
        return findings(settings)

    def provenance(self, settings: Settings) -> dict[str, object]:
        """Facts about the lab, for the reader of the results."""
        return read_facts(settings)

    def snapshot(self) -> dict[str, object]:
        """The namespaces of the lab, and the state that it was built with; in a new sandbox none."""
        known = state.read_state() if sandbox.is_inside() else None
        return {
            "namespaces": topology.present_namespaces() if sandbox.is_inside() else [],
            "built_for": known.model_dump(exclude={"installed"}) if known else None,
        }

    def await_turn(self, visit: Visit, settings: Settings) -> None:
        """Nothing: visits follow one another."""
        del visit, settings

    def configure(self, visit: Visit, settings: Settings) -> list[Change]:
        """Build a lab for this visit, unless it is there, and install the dataplane.

        Raises:
            Problem: a program is missing or failed, or this dataplane is impossible here.
            Unsupported: this process is in no sandbox.
        """
        _check_sandbox()
        if state.is_built_for(visit, settings):
            servers.stop()
            return []
        arm = Arm.parse(visit.dataplane)
        dataplane = load(arm)
        changes = self._remove()
        jobs = topology.build_lab(offloads=settings.offloads)
        lines = [shlex.join(job.full) for job in jobs][:_SHOWN_COMMANDS]
        offloads = "on" if settings.offloads else "off"
        changes.append(
            Change(
                what=f"two nodes, their pods and a client outside, underlay offloads {offloads}",
                command=" && ".join(dict.fromkeys(lines)),
            )
        )
        times_updates = any(trial.program.by_scale for trial in visit.trials)
        bare_bytes = kernel_memory.settled_bytes() if times_updates else None
        scale = state.first_scale(visit, settings)
        changes += dataplane.install(all_ports(scale.services, scale.endpoints), arm.burden)
        bare = Scale(services=scale.services, endpoints=scale.endpoints)
        for factor in factors.implemented().values():
            changes += factor.apply(dataplane.TRAITS.mechanism, bare, scale)
        built = state.wanted_state(visit, settings)
        found = {"bare_kernel_bytes": bare_bytes, "installed": read_installed(mechanisms(traits()))}
        state.write_state(built.model_copy(update=found))
        return changes

    def set_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[Change]:
        """Change both nodes from the scale that they have to this one.

        Raises:
            Problem: the lab was not built for this visit, or a program failed.
        """
        del settings
        _check_sandbox()
        known = state.read_state()
        if known is None or known.visit.visit != visit.visit:
            raise Problem("the lab was not built for this visit: configure its dataplane first.")
        if known.scale == scale:
            return []
        mechanism, here = load(Arm.parse(visit.dataplane)).TRAITS.mechanism, factors.implemented()
        for factor in reversed(here.values()):
            factor.stop()
        parts = mechanisms(traits())
        had = read_installed(parts)
        state.write_state(known.model_copy(update={"scale": None}))
        changes = [change for factor in here.values() for change in factor.apply(mechanism, known.scale, scale)]
        expected = after_a_factor(known.installed, had, read_installed(parts))
        state.write_state(known.model_copy(update={"scale": scale, "installed": expected}))
        return changes

    def count_scale(self, visit: Visit, settings: Settings, scale: Scale) -> list[ScaleSign]:
        """What the kernel lists of it on each node."""
        del settings
        _check_sandbox()
        mechanism, here = load(Arm.parse(visit.dataplane)).TRAITS.mechanism, factors.implemented()

        def count(node: LabNode) -> list[ScaleSign]:
            return [sign for factor in here.values() for sign in factor.count(mechanism, node, scale)]

        with ThreadPoolExecutor(len(addresses.NODES)) as pool:
            return [sign for signs in pool.map(count, addresses.NODES) for sign in signs]

    def time_changes(self, visit: Visit, settings: Settings, trial: Trial) -> str:
        """The times of the dataplane's own updates, and what the kernel holds for it afterwards."""
        _check_sandbox()
        mechanism = load(Arm.parse(visit.dataplane)).TRAITS.mechanism
        seconds = trial.program.lasts_s(settings.duration_s, 0)
        times, known = updates.time_updates(mechanism, trial.scale, seconds), state.read_state()
        held_bytes = kernel_memory.of_node_bytes(known.bare_kernel_bytes) if known is not None else None
        return updates.as_json(msgspec.structs.replace(times, agents=Agents(kernel_memory_bytes=held_bytes)))

    def place_of_changes(self, trial: Trial) -> Placement:
        """The machine that the lab is on."""
        return servers.placement(BY_NAME[trial.topology])

    def observe(self, visit: Visit, moment: Moment) -> list[Sign]:
        """Send traffic through Service and NodePort, and read on each node what forwarded it."""
        del visit
        _check_sandbox()
        if missing := sorted(set(addresses.NAMESPACES) - set(topology.present_namespaces())):
            raise Problem(f"the lab is not whole, {', '.join(missing)} missing: configure a dataplane first.")
        known = state.read_state()
        return counters.observe(moment, known.installed if known is not None else None)

    def cost(self, *, final: bool) -> SwitchCost | None:
        """None: the lab is built anew for each dataplane, so that no connection survives."""
        del final
        return None

    def rest(self) -> None:
        """Nothing: only observe itself observes."""

    def retreat(self, visit: Visit, reason: str | None) -> list[Change]:
        """Nothing: the lab is built anew for each dataplane."""
        del visit, reason
        return []

    def await_switch(self, visit: Visit) -> None:
        """Nothing: configure has installed the dataplane when it returns."""
        del visit

    def prepare(
        self, visit: Visit, settings: Settings, meanwhile: Callable[[], None] = lambda: None
    ) -> list[Placement]:
        """Start the servers of the visit's topologies and of the canary, and wait until they listen."""
        del settings
        _check_sandbox()
        wanted = [topology for name, topology in BY_NAME.items() if name in {t.topology for t in visit.trials}]
        if not any(t.name == NODE_TO_NODE for t in wanted):
            wanted.insert(0, BY_NAME[NODE_TO_NODE])
        tools = served(trial.tool for trial in visit.trials)
        servers.start(servers.needed(wanted, tools))
        meanwhile()
        return [servers.placement(topology, tools) for topology in wanted]

    def turns(self, visit: Visit) -> str | None:
        """The server of turns, which starts with the others."""
        del visit
        return LAB_TURNS if sandbox.is_inside() and servers.are_running() else None

    def await_servers(self, visit: Visit) -> None:
        """Nothing: prepare has waited for them."""
        del visit

    def clear(self, visit: Visit) -> None:
        """End the servers, and everything else in the lab's namespaces."""
        del visit
        if sandbox.is_inside():
            servers.stop()

    def unfinished(self) -> Visit | None:
        """The visit of the lab, while its servers run."""
        known = state.read_state() if sandbox.is_inside() else None
        return known.visit if known is not None and servers.are_running() else None

    def left(self) -> list[str]:
        """Nothing: the lab is removed as a whole."""
        return []

    def restore(self) -> list[Change]:
        """Remove the lab, complete or half-built. The machine itself was never changed."""
        # Outside a sandbox, a namespace of the name node-a belongs to someone else.
        return self._remove() if sandbox.is_inside() else []

    def _remove(self) -> list[Change]:
        state.clear_state()
        commands = [f"ip netns del {name}" for name in topology.remove_lab()]
        commands += [line for mechanism in mechanisms(traits()) for line in mechanism.remove()]
        return [Change(what="the lab is removed", command=" && ".join(commands))] if commands else []


def _check_sandbox() -> None:
    if not sandbox.is_inside():
        raise Unsupported(
            "the lab runs only in its sandbox, so that nothing of it is left behind: start it with `make run`."
        )
