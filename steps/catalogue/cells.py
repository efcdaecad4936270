"""What is measured: a path, by a tool over a transport, in a direction; each is an entry of a catalogue."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from steps.catalogue import tools
from steps.strict_model import StrictModel
from steps.tools.tool import Direction, Tool, Transport, Variant

TopologyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""It is also the name of a folder of raw documents."""


class ToolOverTransport(StrictModel):
    """What is measured by which tool, over which transport. Older documents name the variant alone, as `protocol`."""

    tool: str
    transport: Transport

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:  # noqa: ANN401 - any JSON
        if not isinstance(data, dict) or data.get("protocol") not in tools.VARIANTS:
            return data
        tool, variant = tools.VARIANTS[data["protocol"]]
        others = {name: value for name, value in data.items() if name != "protocol"}
        return others | {"tool": tool.name, "transport": variant.transport}

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if tools.variant(self.tool, self.transport) is None:
            known = ", ".join(f"{tool.name} over {variant.transport}" for tool, variant in tools.VARIANTS.values())
            raise ValueError(f"there is no tool {self.tool} over {self.transport}; there are {known}")
        return self

    @property
    def program(self) -> Tool:
        """The tool's entry."""
        return tools.BY_NAME[self.tool]

    @property
    def variant(self) -> Variant:
        """The entry of the tool over this transport."""
        found = tools.variant(self.tool, self.transport)
        assert found is not None
        return found


class PlannedCell(ToolOverTransport):
    """A cell as it is planned: without a scale, since it is measured at each scale of its run."""

    topology: TopologyName
    direction: Direction
