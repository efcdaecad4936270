"""What a person asks for on the command line: a flag for each option of `steps.catalogue.options`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import get_annotations
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from steps.catalogue.option_fields import Place
from steps.catalogue.options import OPTIONS, Settings
from steps.settings import environment
from steps.settings.settings import choose_settings
from workflows.flags.deploy import Context, flag

Flags = TypeVar("Flags", bound="MeasurementFlags")


class MeasurementFlags:
    """What is to be measured, wherever: an attribute for each option, with the text as typed; empty is the default."""

    if TYPE_CHECKING:  # what `with_options` makes of it, for the type checker can't know

        def __init__(self, **typed: str | bool) -> None: ...

    def typed(self, name: str) -> str:
        """The text of an option; empty where it was left out, or has no flag here."""
        return str(getattr(self, name, ""))

    def options(self) -> str:
        """The flags that the form has no field of its own for, as the form's `options`."""
        return " ".join(f"{o.name}={self.typed(o.name)}" for o in OPTIONS if o.read and self.typed(o.name))

    def form(self, trigger: str) -> dict[str, str]:
        """The form's fields, filled in."""
        own = {option.name: self.typed(option.name) for option in OPTIONS if option.form}
        return own | {"options": self.options(), "trigger": trigger}

    def chosen(self, environment: str, results: str) -> Settings:
        """Completed and checked; raises BadInput with a sentence for each fault.

        Args:
            environment: under which name the figures are kept.
            results: where they are kept.
        """
        return choose_settings(
            profile=self.typed("profile"),
            dataplanes=self.typed("dataplanes"),
            topologies=self.typed("topologies"),
            options=self.options(),
            label=self.typed("label"),
            environment=environment,
            results=results,
            nodes=self.typed("nodes"),
        )


def with_options(place: Place) -> Callable[[type[Flags]], type[Flags]]:
    """Make a dataclass of a class: a flag for each option that can be given there, and then the flags of its own."""

    def complete(flags: type[Flags]) -> type[Flags]:
        options = [option for option in OPTIONS if option.only in {None, place}]
        given = {option.name: Annotated[str, flag(option.help)] for option in options}
        flags.__annotations__ = given | get_annotations(flags)
        for option in options:
            setattr(flags, option.name, option.default)
        return dataclass(frozen=True, kw_only=True)(flags)

    return complete


@Parameter(name="*")
@with_options("here")
class RunFlags(MeasurementFlags):
    """The flags of run, plan and preflight."""

    def settings(self) -> Settings:
        """Completed and checked; raises BadInput with a sentence for each fault."""
        return self.chosen(self.typed("environment"), self.typed("results"))

    def arguments(self, settings: Settings) -> dict[str, str]:
        """The workflow's arguments. The seed that was drawn is among them, so that each step plans the same."""
        options = " ".join(o for o in self.options().split() if not o.startswith("seed="))
        return self.form("local") | {"options": f"{options} seed={settings.seed}".strip()}

    @staticmethod
    def surroundings(settings: Settings) -> dict[str, str]:
        """What a deployment tells the steps on a cluster."""
        return {environment.ENVIRONMENT: settings.environment, environment.RESULTS: settings.results}

    def argv(self, settings: Settings) -> list[str]:
        """The flags again, with the seed that was drawn, for the process inside the lab's sandbox."""
        names = [each.name for each in fields(self)]  # type: ignore[arg-type] # a dataclass, by `with_options`
        values = {name: self.typed(name) for name in names} | {"seed": str(settings.seed)}
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value]


@Parameter(name="*")
@with_options("cluster")
class SubmitFlags(MeasurementFlags):
    """The flags of submit."""

    context: Context = ""
    namespace: Annotated[str, flag("Where the benchmark is deployed; found if empty.")] = ""
    detach: Annotated[bool, Parameter(help="Don't watch: print the run's name and leave.", negative="")] = False
