"""CPU, memory and interface counters of a node at one moment."""

from typing import Annotated, Final

from pydantic import Field

from steps.strict_model import StrictModel

_Seconds = Annotated[float, Field(ge=0, le=1e12)]
_Bytes = Annotated[int, Field(ge=0, le=2**63 - 1)]


class CoreTimes(StrictModel):
    """CPU seconds of one core since boot, by mode."""

    user: _Seconds
    nice: _Seconds
    system: _Seconds
    iowait: _Seconds
    irq: _Seconds
    softirq: _Seconds
    steal: _Seconds
    idle: _Seconds


MODES: Final = tuple(CoreTimes.model_fields)
"""The modes of a core's time in /proc/stat."""


class InterfaceTraffic(StrictModel):
    """Bytes that crossed an interface since it came up, and the most that it takes at once; None: not known."""

    sent_bytes: _Bytes
    received_bytes: _Bytes
    mtu_bytes: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class Counters(StrictModel):
    """A node's counters at one moment.

    `at_s`: by its monotonic clock. No cores: the source has interfaces only. `machine`: the boot id of its kernel,
    which nodes share that are containers or namespaces of one machine.
    """

    node: str
    at_s: _Seconds
    machine: Annotated[str, Field(max_length=64)] | None = None
    cores: Annotated[tuple[CoreTimes, ...], Field(max_length=8_192, fail_fast=True)] = ()
    memory_used_bytes: _Bytes | None = None
    interfaces: dict[str, InterfaceTraffic] = Field(default_factory=dict, max_length=100_000)

    @property
    def counted_at(self) -> str:
        """The machine whose cores were counted, or else the node."""
        return self.machine or self.node
