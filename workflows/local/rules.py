"""The fields of a workflow, and what the embedded engine makes of each.

The tables below are the whole truth: a field that stands in none of them is not supported. `Ignored` fields are
accepted, because they have no meaning on one machine; each says why.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from analysis.errors import BadInput
from workflows.local import choice
from workflows.local.nodes import DISPLAY_NAME
from workflows.local.pod import INPUTS, OUTPUTS


@dataclass(frozen=True, slots=True)
class Done:
    """The engine does what Argo does; `check` says why not, if this very value can't be done.

    `choices`: it may be an expression tag that chooses between fixed texts.
    """

    check: Callable[[Any], str | None] = lambda _value: None
    choices: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """Accepted without effect, because of `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fields:
    """An object; each field has a rule of its own."""

    rules: Mapping[str, "Rule"]


@dataclass(frozen=True, slots=True)
class Each:
    """A list whose entries all follow one rule."""

    rule: "Rule"


Rule = Done | Ignored | Fields | Each

_NO_IMAGE: Final = Ignored("the step runs in this installation, not in an image")
_NO_POD: Final = Ignored("there is no pod: a step is a process of this user")
_NO_SCHEDULER: Final = Ignored("there is one machine to run on")
_NOTHING_TO_COLLECT: Final = Ignored("a step leaves no object behind that had to be collected")
_FOR_PEOPLE: Final = Ignored("it is for the form and the user interface")
_NO_PROMETHEUS: Final = Ignored("nothing collects metrics here")
_GIVEN_REPOSITORY: Final = Ignored("the repository is the one that the engine is given")


def _below(root: str) -> Done:
    def check(path: object) -> str | None:
        if isinstance(path, str) and path.startswith(root + "/") and ".." not in path:
            return None
        return f"is {path!r}, but steps on this machine have places of their own only below {root}"

    return Done(check)


def _one_of(*values: object) -> Done:
    return Done(
        lambda value: None if value in values else f"is {value!r}; possible is {' or '.join(repr(v) for v in values)}"
    )


def _hera_runner(args: object) -> str | None:
    match args:
        case ["-m", "hera.workflows.runner", "-e", str(entrypoint)] if re.fullmatch(r"[\w.]+:\w+", entrypoint):
            return None
    return f"is {args!r}, but only steps of Hera's runner can be run (script with constructor='runner')"


def _empty_directory(volume: object) -> str | None:
    match volume:
        case {"name": _, "emptyDir": _}:
            return None
    return "is no emptyDir, and nothing else can be had on this machine"


def _display_name(annotations: object) -> str | None:
    if isinstance(annotations, Mapping) and set(annotations) <= {DISPLAY_NAME}:
        return None
    return f"is {annotations!r}, but a template's only annotation that means something here is {DISPLAY_NAME}"


def may_be_absent(source: object) -> str | None:
    """What comes from a cluster can't be had here, so it must be of a kind that a step can do without."""
    references = (
        [value for value in source.values() if isinstance(value, Mapping)] if isinstance(source, Mapping) else []
    )
    if references and all(reference.get("optional") is True for reference in references):
        return None
    return "comes from the cluster and is not optional"


def _choice(value: object) -> str | None:
    """An expression tag must be one that the engine can evaluate; without one it may be any text."""
    if "{{=" not in str(value):
        return None
    try:
        choice.parse(str(value))
    except BadInput as problem:
        return f"holds an expression tag that is not supported: {problem}"
    return None


def _source(text: object) -> str | None:
    return None if text == "{{inputs.parameters}}" else "is no call of Hera's runner"


_MUTEXES: Final = Fields({"mutexes": Each(Fields({"name": Done(), "namespace": _NO_POD}))})
_PARAMETER: Final[Mapping[str, Rule]] = {
    "name": Done(),
    "description": _FOR_PEOPLE,
    "enum": Ignored("only the form holds to it, on Argo too"),
}
_ARTIFACT: Final[Mapping[str, Rule]] = {
    "name": Done(),
    "optional": Done(),
    "description": _FOR_PEOPLE,
    "mode": _NO_POD,
    "artifactGC": _NOTHING_TO_COLLECT,
    "s3": Fields(
        {
            "key": Done(),
            **dict.fromkeys(
                ("bucket", "endpoint", "region", "insecure", "accessKeySecret", "secretKeySecret", "useSDKCreds"),
                _GIVEN_REPOSITORY,
            ),
        }
    ),
}
_POD: Final[Mapping[str, Rule]] = {
    "synchronization": _MUTEXES,
    "metadata": _FOR_PEOPLE,
    "annotations": Done(_display_name),
    "nodeSelector": _NO_SCHEDULER,
    "tolerations": _NO_SCHEDULER,
    "affinity": _NO_SCHEDULER,
    "schedulerName": _NO_SCHEDULER,
    "priorityClassName": _NO_SCHEDULER,
    "serviceAccountName": Ignored("the step acts as the user who started the engine"),
    "automountServiceAccountToken": _NO_POD,
    "executor": _NO_POD,
    "hostAliases": _NO_POD,
    "securityContext": _NO_POD,
    "metrics": _NO_PROMETHEUS,
    "archiveLocation": _GIVEN_REPOSITORY,
    "volumes": Each(Done(_empty_directory)),
    "podSpecPatch": Done(_choice, choices=True),
    "activeDeadlineSeconds": Done(),
    "timeout": Ignored("a step's process starts at once, so that the deadline, which must be there too, says the same"),
    "retryStrategy": Fields({"limit": Done(), "retryPolicy": _one_of("Always", "OnFailure", "OnError")}),
}
_SCRIPT: Final = Fields(
    {
        "command": _one_of(["python"], ["python3"]),
        "args": Done(_hera_runner),
        "source": Done(_source),
        "env": Each(Fields({"name": Done(), "value": Done(), "valueFrom": Done()})),
        "envFrom": Each(Done(may_be_absent)),
        "image": _NO_IMAGE,
        "imagePullPolicy": _NO_IMAGE,
        "workingDir": Ignored("a step works where the engine was started"),
        "name": _NO_POD,
        "resources": _NO_POD,
        "securityContext": _NO_POD,
        "ports": _NO_POD,
        "volumeMounts": _NO_POD,
        "terminationMessagePath": Ignored("a step finds the place for its last words in BENCHMARK_TERMINATION_LOG"),
        "terminationMessagePolicy": Ignored("a step that leaves no last words is quoted by its last line"),
    }
)
_TASK: Final = Fields(
    {
        "name": Done(),
        "template": Done(),
        "arguments": Fields({"parameters": Each(Fields({"name": Done(), "value": Done()}))}),
        "depends": Done(),
        "dependencies": Done(),
        "when": Done(),
        "withItems": Done(),
        "withParam": Done(),
    }
)
_TEMPLATE: Final = Fields(
    {
        **_POD,
        "name": Done(),
        "script": _SCRIPT,
        "dag": Fields({"tasks": Each(_TASK), "failFast": Done()}),
        "failFast": Done(),
        "parallelism": Done(),
        "inputs": Fields(
            {
                "parameters": Each(Fields({**_PARAMETER, "value": Done(), "default": Done()})),
                "artifacts": Each(
                    Fields(
                        {**_ARTIFACT, "path": _below(INPUTS), "archive": Ignored("what was kept plain is read plain")}
                    )
                ),
            }
        ),
        "outputs": Fields(
            {
                "parameters": Each(
                    Fields(
                        {
                            **_PARAMETER,
                            "valueFrom": Fields({"path": _below(OUTPUTS), "parameter": Done(), "default": Done()}),
                        }
                    )
                ),
                "artifacts": Each(Fields({**_ARTIFACT, "path": _below(OUTPUTS), "archive": _one_of({"none": {}})})),
            }
        ),
    }
)
WORKFLOW: Final = Fields(
    {
        "apiVersion": _one_of("argoproj.io/v1alpha1"),
        "kind": _one_of("Workflow", "WorkflowTemplate"),
        "metadata": Fields(
            {
                "name": Done(),
                "generateName": Done(),
                "namespace": _NO_POD,
                "labels": _FOR_PEOPLE,
                "annotations": _FOR_PEOPLE,
            }
        ),
        "spec": Fields(
            {
                "entrypoint": Done(),
                "onExit": Done(),
                "arguments": Fields({"parameters": Each(Fields({**_PARAMETER, "value": Done()}))}),
                "templates": Each(_TEMPLATE),
                "templateDefaults": Fields(_POD),
                "parallelism": Done(),
                "activeDeadlineSeconds": Done(),
                "archiveLogs": Done(),
                "synchronization": _MUTEXES,
                "volumes": Each(Done(_empty_directory)),
                "serviceAccountName": _POD["serviceAccountName"],
                "automountServiceAccountToken": _NO_POD,
                "executor": _NO_POD,
                "podGC": _NOTHING_TO_COLLECT,
                "ttlStrategy": _NOTHING_TO_COLLECT,
                "artifactGC": _NOTHING_TO_COLLECT,
                "podDisruptionBudget": _NO_POD,
                "podMetadata": _FOR_PEOPLE,
                "workflowMetadata": _FOR_PEOPLE,
                "artifactRepositoryRef": _GIVEN_REPOSITORY,
                "metrics": _NO_PROMETHEUS,
                "imagePullSecrets": _NO_IMAGE,
                "securityContext": _NO_POD,
                "nodeSelector": _NO_SCHEDULER,
                "tolerations": _NO_SCHEDULER,
                "affinity": _NO_SCHEDULER,
                "schedulerName": _NO_SCHEDULER,
                "priority": _NO_SCHEDULER,
                "podPriorityClassName": _NO_SCHEDULER,
                "dnsPolicy": _NO_POD,
                "dnsConfig": _NO_POD,
                "hostNetwork": _NO_POD,
            }
        ),
    }
)
