"""What a person asks for on the command line, in the words of the submit form."""

from dataclasses import dataclass, fields
from typing import Annotated, Final

from cyclopts import Parameter

from steps import variables
from steps.catalogue.dataplanes import DATAPLANES
from steps.catalogue.environments import LAB
from steps.catalogue.profiles import DEFAULT, PROFILES
from steps.catalogue.topologies import TOPOLOGIES
from steps.options import PROTOCOLS
from steps.settings import Settings, choose
from workflows.asked import Context, flag

_DATAPLANES = ", ".join(d.name for d in DATAPLANES)
_TOPOLOGIES = ", ".join(t.name for t in TOPOLOGIES)
_PROFILES = "; ".join(f"{p.name}: {p.description}" for p in PROFILES)

_OPTIONS: Final = (
    "protocols",
    "directions",
    "duration",
    "repetitions",
    "visits",
    "streams",
    "rate",
    "services",
    "seed",
    "offloads",
    "foreign_cpu_limit",
)
"""The flags that travel in the form's one field `options`."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is to be measured, wherever. An empty text is: as the profile has it."""

    profile: Annotated[str, flag(f"How much is measured. {_PROFILES}.")] = DEFAULT
    dataplanes: Annotated[
        str,
        flag(
            f"Comma-separated, the baseline first; all if empty. Known: {_DATAPLANES}. "
            "NAME+twin is an identical twin, NAME+burden=N a twin with N rules more in front of each packet."
        ),
    ] = ""
    topologies: Annotated[str, flag(f"Comma-separated; the profile's if empty. Known: {_TOPOLOGIES}.")] = ""
    protocols: Annotated[str, flag(f"Comma-separated: {', '.join(PROTOCOLS)}; the profile's if empty.")] = ""
    directions: Annotated[str, flag("Comma-separated: forward, reverse; each topology's telling one if empty.")] = ""
    duration: Annotated[str, flag("Seconds of one trial, a whole number from 1.")] = ""
    repetitions: Annotated[str, flag("How often each trial is repeated within a visit.")] = ""
    visits: Annotated[str, flag("Visits of each dataplane, which is the number of rounds.")] = ""
    streams: Annotated[str, flag("Parallel iperf3 streams.")] = ""
    rate: Annotated[str, flag("UDP rate of all streams together, such as 500M; no limit if empty.")] = ""
    services: Annotated[str, flag("How many Services the rule sets and maps hold.")] = ""
    seed: Annotated[str, flag("Of the random order; a new one if empty, which is recorded.")] = ""
    offloads: Annotated[str, flag("true: leave the wire's segmentation offloads on.")] = ""
    foreign_cpu_limit: Annotated[
        str, flag("Share of all cores that others may use before a trial is repeated, then flagged, such as 0.03.")
    ] = ""
    label: Annotated[str, flag("A word by which to find the run again.")] = ""

    def options(self) -> str:
        """The flags that the form has no field of its own for, as the form's `options`."""
        return " ".join(f"{name}={getattr(self, name)}" for name in _OPTIONS if getattr(self, name))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Request(Measurement):
    """The flags of run, plan and preflight."""

    environment: Annotated[str, flag("Under which name the figures are kept: lab, or a name for the cluster.")] = LAB
    results: Annotated[str, flag("The store: a folder, file:// or s3://.")] = "results"

    def settings(self) -> Settings:
        """Completed and checked; raises BadInput with a sentence for each fault."""
        return choose(
            profile=self.profile,
            dataplanes=self.dataplanes,
            topologies=self.topologies,
            options=self.options(),
            label=self.label,
            environment=self.environment,
            results=self.results,
        )

    def arguments(self, settings: Settings) -> dict[str, str]:
        """The workflow's arguments. The seed that was drawn is among them, so that each step plans the same."""
        options = " ".join(o for o in self.options().split() if not o.startswith("seed="))
        return {
            "profile": self.profile,
            "dataplanes": self.dataplanes,
            "topologies": self.topologies,
            "options": f"{options} seed={settings.seed}".strip(),
            "nodes": "",
            "label": self.label,
            "trigger": "local",
        }

    @staticmethod
    def surroundings(settings: Settings) -> dict[str, str]:
        """What a deployment tells the steps on a cluster."""
        return {variables.ENVIRONMENT: settings.environment, variables.RESULTS: settings.results}

    def argv(self, settings: Settings) -> list[str]:
        """The flags again, with the seed that was drawn, for the process inside the lab's box."""
        values = {field.name: getattr(self, field.name) for field in fields(self)} | {"seed": str(settings.seed)}
        return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Submission(Measurement):
    """The flags of submit."""

    nodes: Annotated[str, flag("The two nodes between which is measured, CLIENT,SERVER; chosen if empty.")] = ""
    context: Context = ""
    namespace: Annotated[str, flag("Where the benchmark is deployed.")] = "argo"
    detach: Annotated[bool, Parameter(help="Don't watch: print the run's name and leave.", negative="")] = False

    def fields(self) -> dict[str, str]:
        """The form's fields, filled in."""
        return {
            "dataplanes": self.dataplanes,
            "topologies": self.topologies,
            "profile": self.profile,
            "nodes": self.nodes,
            "label": self.label,
            "options": self.options(),
            "trigger": "submitted",
        }

    def settings(self, environment: str, results: str) -> Settings:
        """As the run's first step would complete and check them; raises BadInput with a sentence for each fault.

        Args:
            environment: under which name the deployment keeps the cluster's figures.
            results: where it keeps them.
        """
        return choose(
            profile=self.profile,
            dataplanes=self.dataplanes,
            topologies=self.topologies,
            options=self.options(),
            label=self.label,
            environment=environment,
            results=results,
            nodes=self.nodes,
        )
