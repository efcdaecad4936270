"""The fields of a workflow that the local engine supports; every other field is refused.

The table lists the fields of the benchmark's rendered template, and no others; a test compares the two. An object is a
dictionary of its fields, a list has the rule of its items. `Ignored` fields have no meaning on one machine.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from analysis.errors import BadInput
from steps.tasks import run
from workflows.local.semantics.conditions import parse_depends, when_holds
from workflows.local.semantics.nodes import DISPLAY_NAME
from workflows.local.semantics.tags import render_words

INPUTS: Final = str(run.POD.inputs)
OUTPUTS: Final = str(run.POD.outputs)
"""The folders in the template; here each step has its own."""


@dataclass(frozen=True, slots=True)
class Supported:
    """The engine does what Argo does with it.

    Attributes:
        check: why this value is not supported, as a clause; None: it is.
        expression: whether it may have expression tags.
        required: whether Argo's default, where it is missing, is not supported.
    """

    check: Callable[[Any], str | None] = lambda _value: None
    expression: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """Accepted without effect, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template: a DAG, steps one after another, or what becomes a pod, each with fields of its own."""

    dag: "Fields"
    steps: "Fields"
    pod: "Fields"


SupportRule: TypeAlias = "Supported | Ignored | Template | Fields | list[Any]"
Fields: TypeAlias = "dict[str, SupportRule]"


def _below(root: str) -> Supported:
    def check(path: object) -> str | None:
        if isinstance(path, str) and path.startswith(root + "/") and ".." not in path:
            return None
        return f"is {path!r}; only paths below {root} are supported"

    return Supported(check)


def _check(what: str, is_supported: Callable[[Any], bool]) -> Callable[[Any], str | None]:
    return lambda value: None if is_supported(value) else f"is {value!r}; only {what} is supported"


def _only(value: object, *, required: bool = False) -> Supported:
    return Supported(_check(repr(value), lambda found: bool(found == value)), required=required)


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())


def _is_runner(args: object) -> bool:
    match args:
        case [*words, str(entrypoint)]:
            return words == [*run.COMMAND] and re.fullmatch(r"[\w.]+:\w+", entrypoint) is not None
    return False


def _empty_directory(volume: object) -> str | None:
    match volume:
        case {"name": _, "emptyDir": _}:
            return None
    return "is no emptyDir; only that is supported"


def may_be_absent(source: object) -> str | None:
    """There is no cluster to take a value from, so that the step must work without it."""
    if isinstance(source, Mapping):
        references = [value for value in source.values() if isinstance(value, Mapping)]
        if references and all(reference.get("optional") is True for reference in references):
            return None
    return "comes from the cluster and is not optional"


def _readable(parse: Callable[[str], object]) -> Supported:
    def check(value: object) -> str | None:
        try:
            parse(str(value))
        except BadInput as problem:
            return f"is not supported: {problem}"
        return None

    return Supported(check)


_ANY: Final = Supported()
_TEXT: Final = Supported(_check("a text", lambda value: isinstance(value, str)))
_NUMBER: Final = Supported(_check("a whole number", _is_number))
_DISPLAY_NAME: Final = Supported(
    _check(DISPLAY_NAME, lambda found: isinstance(found, Mapping) and set(found) <= {DISPLAY_NAME}), expression=True
)
_NO_IMAGE: Final = Ignored("the step runs in this installation, not in an image")
_NO_POD: Final = Ignored("there is no pod: a step is a process of this user")
_NO_SCHEDULER: Final = Ignored("there is one machine to run on")
_NO_OBJECTS: Final = Ignored("a step leaves no Kubernetes object behind")
_UI_ONLY: Final = Ignored("only the form and the user interface show it")

_MUTEXES: Final[Fields] = {"mutexes": [{"name": _ANY}]}
_ARTIFACT: Final[Fields] = {"name": _ANY, "s3": {"key": Supported(expression=True)}}
_TASK: Final[Fields] = {
    "name": _ANY,
    "template": _ANY,
    "arguments": {"parameters": [{"name": _ANY, "value": _TEXT}]},
    "depends": _readable(parse_depends),
    "when": _readable(lambda text: when_holds(render_words(text))),
    "withParam": _ANY,
}
_OF_STEPS: Final = frozenset({"name", "template", "arguments", "when"})
_DAG: Final[Fields] = {
    "name": _ANY,
    "annotations": _DISPLAY_NAME,
    "inputs": {"parameters": [{"name": _ANY}]},
    "dag": {"tasks": [_TASK], "failFast": _only(value=False)},
    "failFast": _only(value=False),
    "parallelism": _NUMBER,
}
_CONTINUE: Final[Fields] = {"failed": _only(value=True, required=True), "error": _only(value=True, required=True)}
_STEPS: Final[Fields] = {
    "name": _ANY,
    "steps": [[{**{key: rule for key, rule in _TASK.items() if key in _OF_STEPS}, "continueOn": _CONTINUE}]],
}
_POD: Final[Fields] = {
    "name": _ANY,
    "annotations": _DISPLAY_NAME,
    "inputs": {
        "parameters": [{"name": _ANY}],
        "artifacts": [{**_ARTIFACT, "optional": _ANY, "path": _below(INPUTS)}],
    },
    "script": {
        "command": _only(["python"]),
        "args": Supported(_check(f"a step that {run.COMMAND[-1]} runs", _is_runner)),
        "source": _only("{{inputs.parameters}}"),
        "env": [{"name": _ANY, "value": _ANY, "valueFrom": _ANY}],
        "image": _NO_IMAGE,
        "imagePullPolicy": _NO_IMAGE,
        "resources": _NO_POD,
        "securityContext": _NO_POD,
        "volumeMounts": _NO_POD,
    },
    "outputs": {
        "parameters": [{"name": _ANY, "valueFrom": {"path": _below(OUTPUTS)}}],
        "artifacts": [{**_ARTIFACT, "path": _below(OUTPUTS), "archive": _only({"none": {}})}],
    },
    "synchronization": _MUTEXES,
    "activeDeadlineSeconds": _NUMBER,
    "timeout": Ignored("a step starts at once, so that its deadline, which is required beside it, is enough"),
    "retryStrategy": {
        "limit": Supported(_NUMBER.check, required=True),
        "retryPolicy": _only("OnError", required=True),
    },
    "podSpecPatch": Supported(expression=True),
    "volumes": [Supported(_empty_directory)],
    "affinity": _NO_SCHEDULER,
    "tolerations": _NO_SCHEDULER,
    "serviceAccountName": Ignored("the step acts as the user who started the engine"),
    "metrics": Ignored("nothing collects metrics here"),
}
_PARAMETER: Final[Fields] = {
    "name": _ANY,
    "value": Supported(_TEXT.check, required=True),
    "description": _UI_ONLY,
    "enum": Ignored("only the form restricts the value, on Argo too"),
}

WORKFLOW: Final[Fields] = {
    "apiVersion": _only("argoproj.io/v1alpha1"),
    "kind": _only("WorkflowTemplate"),
    "metadata": {"name": Supported(required=True), "annotations": _UI_ONLY},
    "spec": {
        "entrypoint": _ANY,
        "onExit": _ANY,
        "arguments": {"parameters": [_PARAMETER]},
        "templates": [Template(_DAG, _STEPS, _POD)],
        "activeDeadlineSeconds": _NUMBER,
        "synchronization": _MUTEXES,
        "podGC": _NO_OBJECTS,
        "ttlStrategy": _NO_OBJECTS,
        "artifactGC": _NO_OBJECTS,
        "podMetadata": _UI_ONLY,
        "workflowMetadata": _UI_ONLY,
        "securityContext": _NO_POD,
    },
}
