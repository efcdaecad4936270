"""The fields of a workflow that the local engine supports; every other field is refused.

The tables list the fields of the benchmark's rendered template, and no others; a test compares the two. `Ignored`
fields are accepted because they have no meaning on one machine; each gives the reason.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from analysis.errors import BadInput
from workflows.local.semantics.conditions import parse_depends, when_holds
from workflows.local.semantics.nodes import DISPLAY_NAME
from workflows.local.semantics.paths import INPUTS, OUTPUTS
from workflows.local.semantics.tags import render_words


@dataclass(frozen=True, slots=True)
class Supported:
    """The engine does what Argo does with it.

    Attributes:
        check: why this value is not supported, as a clause; None: it is.
        expression: whether it may have expression tags.
    """

    check: Callable[[Any], str | None] = lambda _value: None
    expression: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """Accepted without effect, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class ObjectFields:
    """An object with a rule for each field. Where a `required` one is missing, Argo's default is not supported."""

    rules: Mapping[str, "Rule"]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListItems:
    """A list whose entries all follow one rule."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class Template:
    """A template: a DAG or a step, each with fields of its own."""

    dag: ObjectFields
    step: ObjectFields


Rule = Supported | Ignored | ObjectFields | ListItems | Template

_NO_IMAGE: Final = Ignored("the step runs in this installation, not in an image")
_NO_POD: Final = Ignored("there is no pod: a step is a process of this user")
_NO_SCHEDULER: Final = Ignored("there is one machine to run on")
_NO_OBJECTS: Final = Ignored("a step leaves no Kubernetes object behind")
_UI_ONLY: Final = Ignored("only the form and the user interface show it")


def _below(root: str) -> Supported:
    def check(path: object) -> str | None:
        if isinstance(path, str) and path.startswith(root + "/") and ".." not in path:
            return None
        return f"is {path!r}; only paths below {root} are supported"

    return Supported(check)


def _only(value: object) -> Supported:
    return Supported(lambda found: None if found == value else f"is {found!r}; only {value!r} is supported")


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else f"is {value!r}; only a text is supported"


def _number(value: object) -> str | None:
    return None if isinstance(value, int) else f"is {value!r}; only a whole number is supported"


def _hera_runner(args: object) -> str | None:
    match args:
        case ["-m", "hera.workflows.runner", "-e", str(entrypoint)] if re.fullmatch(r"[\w.]+:\w+", entrypoint):
            return None
    return f"is {args!r}; only steps of Hera's runner are supported (script with constructor='runner')"


def _empty_directory(volume: object) -> str | None:
    match volume:
        case {"name": _, "emptyDir": _}:
            return None
    return "is no emptyDir; only that is supported"


def _display_name(annotations: object) -> str | None:
    if isinstance(annotations, Mapping) and set(annotations) <= {DISPLAY_NAME}:
        return None
    return f"is {annotations!r}; only {DISPLAY_NAME} is supported"


def may_be_absent(source: object) -> str | None:
    """There is no cluster to take a value from, so that the step must work without it."""
    if isinstance(source, Mapping):
        references = [value for value in source.values() if isinstance(value, Mapping)]
        if references and all(reference.get("optional") is True for reference in references):
            return None
    return "comes from the cluster and is not optional"


def _readable(parse: Callable[[str], object]) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        try:
            parse(str(value))
        except BadInput as problem:
            return f"is not supported: {problem}"
        return None

    return check


def _attempts(limit: object) -> str | None:
    return None if str(limit).isdecimal() else f"is {limit!r}; only a whole number is supported"


_MUTEXES: Final = ObjectFields({"mutexes": ListItems(ObjectFields({"name": Supported()}))})
_NAMES: Final = ListItems(ObjectFields({"name": Supported()}))
_ARTIFACT: Final[Mapping[str, Rule]] = {"name": Supported(), "s3": ObjectFields({"key": Supported(expression=True)})}
_TASK: Final = ObjectFields(
    {
        "name": Supported(),
        "template": Supported(),
        "arguments": ObjectFields(
            {"parameters": ListItems(ObjectFields({"name": Supported(), "value": Supported(_text)}))}
        ),
        "depends": Supported(_readable(parse_depends)),
        "when": Supported(_readable(lambda text: when_holds(render_words(text)))),
        "withParam": Supported(),
    }
)
_DAG: Final = ObjectFields(
    {
        "name": Supported(),
        "annotations": Supported(_display_name, expression=True),
        "inputs": ObjectFields({"parameters": _NAMES}),
        "dag": ObjectFields({"tasks": ListItems(_TASK), "failFast": _only(value=False)}),
        "failFast": _only(value=False),
        "parallelism": Supported(_number),
        "synchronization": _MUTEXES,
    }
)
_SCRIPT: Final = ObjectFields(
    {
        "command": _only(["python"]),
        "args": Supported(_hera_runner),
        "source": _only("{{inputs.parameters}}"),
        "env": ListItems(ObjectFields({"name": Supported(), "value": Supported(), "valueFrom": Supported()})),
        "envFrom": ListItems(Supported(may_be_absent)),
        "image": _NO_IMAGE,
        "imagePullPolicy": _NO_IMAGE,
        "resources": _NO_POD,
        "securityContext": _NO_POD,
        "volumeMounts": _NO_POD,
    }
)
_STEP: Final = ObjectFields(
    {
        "name": Supported(),
        "annotations": Supported(_display_name, expression=True),
        "inputs": ObjectFields(
            {
                "parameters": _NAMES,
                "artifacts": ListItems(ObjectFields({**_ARTIFACT, "optional": Supported(), "path": _below(INPUTS)})),
            }
        ),
        "script": _SCRIPT,
        "outputs": ObjectFields(
            {
                "parameters": ListItems(
                    ObjectFields({"name": Supported(), "valueFrom": ObjectFields({"path": _below(OUTPUTS)})})
                ),
                "artifacts": ListItems(
                    ObjectFields({**_ARTIFACT, "path": _below(OUTPUTS), "archive": _only({"none": {}})})
                ),
            }
        ),
        "synchronization": _MUTEXES,
        "activeDeadlineSeconds": Supported(_number),
        "timeout": Ignored("a step starts at once, so that its deadline, which is required beside it, is enough"),
        "retryStrategy": ObjectFields(
            {"limit": Supported(_attempts), "retryPolicy": _only("OnError")}, required=("limit", "retryPolicy")
        ),
        "podSpecPatch": Supported(expression=True),
        "volumes": ListItems(Supported(_empty_directory)),
        "affinity": _NO_SCHEDULER,
        "tolerations": _NO_SCHEDULER,
        "serviceAccountName": Ignored("the step acts as the user who started the engine"),
        "metrics": Ignored("nothing collects metrics here"),
    }
)


WORKFLOW: Final = ObjectFields(
    {
        "apiVersion": _only("argoproj.io/v1alpha1"),
        "kind": _only("WorkflowTemplate"),
        "metadata": ObjectFields({"name": Supported(), "annotations": _UI_ONLY}, required=("name",)),
        "spec": ObjectFields(
            {
                "entrypoint": Supported(),
                "onExit": Supported(),
                "arguments": ObjectFields(
                    {
                        "parameters": ListItems(
                            ObjectFields(
                                {
                                    "name": Supported(),
                                    "value": Supported(_text),
                                    "description": _UI_ONLY,
                                    "enum": Ignored("only the form restricts the value, on Argo too"),
                                },
                                required=("value",),
                            )
                        )
                    }
                ),
                "templates": ListItems(Template(_DAG, _STEP)),
                "activeDeadlineSeconds": Supported(_number),
                "synchronization": _MUTEXES,
                "podGC": _NO_OBJECTS,
                "ttlStrategy": _NO_OBJECTS,
                "artifactGC": _NO_OBJECTS,
                "podMetadata": _UI_ONLY,
                "workflowMetadata": _UI_ONLY,
                "securityContext": _NO_POD,
            }
        ),
    }
)
