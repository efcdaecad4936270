"""What the guard does where it found something: put the cluster back, and notify.

Apart from `guard`, which imports it only then.
"""

from collections.abc import Mapping

from analysis.errors import Problem
from steps import notification
from steps.cluster.kube.adapter import KubernetesCluster
from steps.cluster.kube.restoration import LeftBehind
from steps.settings import environment
from steps.tasks.shared.step import log


def restore_left(cluster: KubernetesCluster, variables: Mapping[str, str]) -> int:
    """Put back what a dead run left, prove it, and notify; the exit code of the pod.

    A failure is reported once: the next guard tries again, and says nothing unless it succeeds.
    """
    name = environment.name_for_messages(variables)
    try:
        found = cluster.restore_left()
    except Problem as problem:
        log(str(problem))
        return problem.exit_code
    if found is None:
        log("nothing to put back: the run is alive, or another puts the cluster back")
        return 0
    sentence = message(found)
    log(sentence)
    if found.first or not found.problem:
        notify(name, sentence, variables, run=found.run, restored=not found.problem)
    return Problem.exit_code if found.problem else 0


def message(found: LeftBehind) -> str:
    """What is reported of it, a sentence."""
    if found.run is None:
        return f"nothing that a run may have left can be put back until somebody looks: {found.problem}"
    left = f"what run {found.run}, {found.ending}, had left"
    return f"could not put back {left}, and tries again: {found.problem}" if found.problem else f"put back {left}."


def notify_of_person(owner: str, held_s: float, variables: Mapping[str, str]) -> None:
    """A person has held the cluster for days, which may be intended: it is reported, and never put back."""
    name = environment.name_for_messages(variables)
    command = environment.restore_command(variables.get(environment.CONTEXT, "").strip() or name)
    sentence = (
        f"{owner} switched the cluster {held_s / 86_400:.0f} d ago, and no run can begin until it is put back: "
        f"`{command}`."
    )
    log(sentence)
    notify(name, sentence, variables, run=None, restored=False)


def notify(name: str, sentence: str, variables: Mapping[str, str], *, run: str | None, restored: bool) -> None:
    """Post a sentence to the address of the deployment, if it has one."""
    if not (url := environment.notify_url(variables)):
        return
    try:
        notification.post(url, notification.guard_message(name, sentence, run=run, restored=restored))
    except Problem as problem:
        log(str(problem))
