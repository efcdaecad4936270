"""The flags of run, plan, preflight and submit: one for each option of `steps.catalogue.options`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import get_annotations
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from cyclopts import Parameter

from analysis.errors import BadInput
from steps.catalogue.option_fields import OptionPlace, shown_option
from steps.catalogue.options import OPTIONS, Settings
from steps.settings import environment
from steps.settings.continued import FindRun, stored_runs
from steps.settings.settings import choose_settings
from workflows.flags.common import AsOwnerFlag, ContextFlag, FormatFlag, flag

_COMMA: Final = re.compile(r"\s*,\s*")

AnyFlags = TypeVar("AnyFlags", bound="MeasurementFlags")


class MeasurementFlags:
    """What is to be measured: an attribute for each option, with the text as typed; empty is the default."""

    if TYPE_CHECKING:  # `with_options` makes a dataclass of it, which the type checker doesn't see

        def __init__(self, **typed: str | bool) -> None: ...

    def typed(self, name: str) -> str:
        """The text of an option; empty if it was left out or has no flag here."""
        return str(getattr(self, name, ""))

    def options(self) -> str:
        """The options without a field of their own in the form, as the form's field `options`.

        That field is divided at white space: what stands around the commas of a list is left out.

        Raises:
            BadInput: a value has white space elsewhere, which would begin another option.
        """
        given = {o.name: _COMMA.sub(",", self.typed(o.name).strip()) for o in OPTIONS if o.read}
        if faults := [
            f"--{name.replace('_', '-')} can't be {shown_option(value)}: write one value, or a list with commas, "
            "without white space in it"
            for name, value in given.items()
            if len(value.split()) > 1
        ]:
            raise BadInput("\n".join(faults))
        return " ".join(f"{name}={value}" for name, value in given.items() if value)

    def form(self, trigger: str) -> dict[str, str]:
        """The form's fields, filled in; raises BadInput as `options` does."""
        own = {option.name: self.typed(option.name) for option in OPTIONS if option.form}
        return own | {"options": self.options(), "trigger": trigger}

    def chosen(self, environment: str, results: str, find_run: FindRun | None = None) -> Settings:
        """The settings of a run in this environment with this store; raises BadInput with a sentence for each fault."""
        return choose_settings(
            profile=self.typed("profile"),
            dataplanes=self.typed("dataplanes"),
            topologies=self.typed("topologies"),
            options=self.options(),
            label=self.typed("label"),
            environment=environment,
            results=results,
            nodes=self.typed("nodes"),
            find_run=find_run,
        )


def with_options(place: OptionPlace) -> Callable[[type[AnyFlags]], type[AnyFlags]]:
    """Make a dataclass of a class: a flag for each option that applies there, then the class's own flags."""

    def complete(flags: type[AnyFlags]) -> type[AnyFlags]:
        options = [option for option in OPTIONS if option.only in {None, place}]
        given = {option.name: Annotated[str, flag(option.help, aliases=option.aliases)] for option in options}
        flags.__annotations__ = given | get_annotations(flags)
        for option in options:
            setattr(flags, option.name, option.default)
        return dataclass(frozen=True, kw_only=True)(flags)

    return complete


@Parameter(name="*")
@with_options("here")
class RunFlags(MeasurementFlags):
    """The flags of run, plan and preflight."""

    as_owner: AsOwnerFlag = False
    format: FormatFlag = "text"

    def settings(self) -> Settings:
        """The settings of the run; raises BadInput with a sentence for each fault."""
        results = self.typed("results")
        return self.chosen(self.typed("environment"), results, stored_runs(results))

    def arguments(self, settings: Settings) -> dict[str, str]:
        """The workflow's arguments, with the seed that was drawn, so that each step makes the same plan."""
        options = " ".join(o for o in self.options().split() if not o.startswith("seed="))
        return self.form("local") | {"options": f"{options} seed={settings.seed}".strip()}

    @staticmethod
    def surroundings(settings: Settings) -> dict[str, str]:
        """The environment variables that a deployment's ConfigMap sets on a cluster."""
        return {environment.ENVIRONMENT: settings.environment, environment.RESULTS: settings.results}

    def argv(self, settings: Settings) -> list[str]:
        """The flags for the process inside the lab's sandbox, with the seed that was drawn."""
        values = {o.name: self.typed(o.name) for o in OPTIONS} | {"seed": str(settings.seed), "format": self.format}
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value]


@Parameter(name="*")
@with_options("cluster")
class SubmitFlags(MeasurementFlags):
    """The flags of submit."""

    context: ContextFlag = ""
    namespace: Annotated[str, flag("Where the benchmark is deployed; found if empty.")] = ""
    detach: Annotated[bool, Parameter(help="Print the run's name and exit, without watching it.", negative="")] = False
