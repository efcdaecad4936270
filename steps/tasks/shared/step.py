"""What all tasks share: the run's folders, the planned visit, and failures that end as one sentence."""

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from analysis.console.notices import print_notice
from analysis.console.sanitizing import sanitize_standard_error, strip_controls
from analysis.errors import BadInput, Problem
from analysis.store.storage.storage_errors import resource_error
from steps import documents
from steps.catalogue.option_fields import shown_option
from steps.catalogue.options import Settings
from steps.cluster.kube.api.identity import WORKFLOW_NAME, WORKFLOW_UID
from steps.domain import Visit
from steps.settings import environment
from steps.settings.schedule import find_visit, make_schedule
from steps.settings.settings import load_settings
from steps.tasks.shared.artifacts import Artifact
from steps.tasks.shared.inputs import INPUTS, check_inputs, checked_tag, input_names, require_checks

RUN = "{{workflow.name}}-{{workflow.uid}}"
"""The run's id. A workflow's name alone is not unique: a CronWorkflow's comes from the time, alike in two clusters."""

RUN_FOLDER = f"raw/{RUN}"
"""The folder of a run's raw documents in the artifact repository; on one machine, in the results' folder."""

VISIT_FOLDER = f"{RUN_FOLDER}/visit-{checked_tag('visit')}"

# Variables that the template sets from Argo's own tags, so that nobody who submits a workflow decides them.
_IDENTITY = {WORKFLOW_NAME: re.compile(r"[a-z0-9][a-z0-9.-]{0,152}"), WORKFLOW_UID: re.compile(r"[0-9a-f-]{36}")}

P = ParamSpec("P")
R = TypeVar("R")


def run_id(workflow_name: str, workflow_uid: str) -> str:
    """The id of a workflow's run: RUN with its tags replaced."""
    return f"{workflow_name}-{workflow_uid}"


def own_identity(variables: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """The name and the uid of the workflow that this process is a step of, by Argo's word alone.

    Raises:
        Problem: it is a step of none.
    """
    for variable, pattern in _IDENTITY.items():
        if pattern.fullmatch(value := variables.get(variable, "")) is None:
            raise Problem(
                f"{variable} is {shown_option(value)}, which is no workflow's: this step runs in a workflow of "
                "template dataplane-benchmark only, whose name has 153 characters at most."
            )
    return variables[WORKFLOW_NAME], variables[WORKFLOW_UID]


def own_run_id() -> str:
    """The id of the run that this process is a step of."""
    return run_id(*own_identity())


def document_artifact(key: str, name: str = "document") -> Artifact:
    """The output artifact with a task's raw document."""
    return Artifact(name, key, output=True)


def planned_visit(settings: str, visit: str) -> tuple[Settings, Visit]:
    """The settings, and the visit of that number in their plan, or the repeat of one.

    Raises:
        BadInput: the settings are not valid, or the plan has no such visit.
    """
    chosen = load_settings(settings)
    visits = make_schedule(chosen)
    number = int(visit) if re.fullmatch(INPUTS["visit"].pattern, visit) else 0
    found = find_visit(visits, number)
    if found is None:
        raise BadInput(
            f"visit {shown_option(visit)} is not in this run's plan, which has the visits 1 to {len(visits)}, and as "
            "many repeats."
        )
    return chosen, found


def node_title(*parts: str) -> str:
    """The display name of a node, such as `pod-to-service.ebpf.visit-3`: letters, digits, - and dots, 63 at most."""
    return ".".join(re.sub(r"[^A-Za-z0-9-]+", "-", part).strip("-") for part in parts)[:63].rstrip("-.")


def log(sentence: str) -> None:
    """Print a line of the step's log; a display shows the last one."""
    print_notice(sentence)


def progress(done: int, total: int) -> None:
    """Report progress by Argo's protocol: N/M in a file that the executor, or the local engine, watches."""
    if path := os.environ.get("ARGO_PROGRESS_FILE"):
        Path(path).write_text(f"{done}/{total}\n", encoding="ascii")


def ends_in_a_sentence(function: Callable[P, R]) -> Callable[P, R]:
    """Check the task's inputs, and make a Problem end it with its exit code and a sentence, the node's message.

    Raises:
        TypeError: an input has no check.
    """
    require_checks(function)
    names, signature = input_names(function), inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        sanitize_standard_error()
        try:
            given = signature.bind(*args, **kwargs).arguments
            check_inputs({name: given[parameter] for parameter, name in names.items()})
            return function(*args, **kwargs)
        except Problem as problem:
            sentence, code = str(problem), problem.exit_code
        except OSError as error:  # a volume that is read-only, full, or another user's
            where = f"{error.filename}: " if error.filename else ""
            sentence, code = resource_error(error) or f"{where}{error.strerror or error}.", Problem.exit_code
        except (MemoryError, ImportError, RuntimeError) as error:
            if (known := resource_error(error)) is None:
                raise
            sentence, code = known, Problem.exit_code
        fail(sentence)
        raise SystemExit(code)

    return wrapper


def fail(sentence: str) -> None:
    """Print why this step fails, and write it to the termination log, which Argo shows as the node's message."""
    sentence = environment.with_context(sentence, os.environ.get(environment.CONTEXT, "").strip())
    log(sentence)
    path = Path(os.environ.get("BENCHMARK_TERMINATION_LOG", "/dev/termination-log"))
    try:
        path.write_text(strip_controls(sentence)[:4096], encoding="utf-8")
    except OSError:
        log(f"(the message could not be left in {path})")


@contextmanager
def kept_on_failure(path: Path, document: documents.Configure | documents.Restore) -> Iterator[None]:
    """Write the document with the error of a Problem that ends the block, which is raised again."""
    try:
        yield
    except Problem as problem:
        documents.write_document(path, document.model_copy(update={"error": str(problem)}))
        raise
