"""The verbs configure, settle and restore: the workflow's steps on a cluster, by hand."""

import contextlib
import shlex
from collections.abc import Iterator

from analysis.console.notices import print_notice
from analysis.console.terminal import Terminal
from analysis.errors import BadInput, Problem
from steps.catalogue.dataplanes import BY_NAME, of_kind
from steps.catalogue.environments import KUBERNETES, is_lab
from steps.catalogue.option_fields import nearest
from steps.cluster.kube.adapter import KubernetesCluster
from steps.domain import Change
from steps.settings.environment import restore_command, with_context
from workflows.deployment.deployed import use_deployment
from workflows.flags.common import DataplaneFlag, DryRunFlag, EnvironmentFlag


def configure(*, environment: EnvironmentFlag, dataplane: DataplaneFlag, dry_run: DryRunFlag = False) -> int:
    """Switch a cluster, or with `dry_run` print the kubectl commands for it. Returns 0.

    Raises:
        BadInput: there is no such dataplane, or the environment is the lab.
        Problem: the cluster can't be switched, or it failed; call it again to continue.
    """
    (cluster, context), console = _cluster(environment, dataplane), Terminal()
    if dry_run:
        nothing = f"{environment} already runs {dataplane}"
        return _print_commands(context, cluster.commands(dataplane), nothing, console)
    with _commands_for(context):
        changes = cluster.configure_for_user(dataplane)
    _print_changes(context, changes, console)
    if changes:
        console.print(
            f"Switched. Now wait for the proof: `make settle ENVIRONMENT={shlex.quote(environment)} "
            f"DATAPLANE={dataplane}`\n{_restore_hint(environment)}",
            soft_wrap=True,
        )
    else:
        console.print(f"Nothing to change: {environment} already runs {dataplane}.")
    return 0


def settle(*, environment: EnvironmentFlag, dataplane: DataplaneFlag) -> int:
    """Wait until the dataplane is proven on every measured node, and print the proof. Returns 0.

    Raises:
        BadInput: there is no such dataplane, or the environment is the lab.
        UnprovenError: it isn't proven in time, or can't be; the sentence names what is missing on which node.
    """
    (cluster, context), console = _cluster(environment, dataplane), Terminal()
    nodes = cluster.measured_nodes
    try:
        with _commands_for(context):
            settled = cluster.settle_for_user(dataplane)
    except Problem:
        print_notice(_restore_hint(environment))
        raise
    for sign in settled.signs:
        console.print(f"{sign.node}: {sign.looked_at}: {sign.seen}", soft_wrap=True)
    console.print(f"{settled.proof.observed} is proven on {', '.join(nodes)} after {settled.settle_s:.0f} s.")
    return 0


def restore(*, environment: EnvironmentFlag, dry_run: DryRunFlag = False) -> int:
    """Restore a cluster, no matter who changed it, or with `dry_run` print the kubectl commands for it. Returns 0.

    Raises:
        BadInput: the environment is the lab.
        Unsupported: a running workflow holds the cluster.
        Problem: it failed; call it again to continue.
    """
    (cluster, context), console = _cluster(environment), Terminal()
    nothing = f"{environment} has no snapshot of a run: there is nothing to restore"
    if dry_run:
        return _print_commands(context, cluster.commands(None), nothing, console)
    with _commands_for(context):
        changes = cluster.restore_for_user()
    _print_changes(context, changes, console)
    console.print("The API objects are restored." if changes else f"{nothing}.", soft_wrap=True)
    return 0


def _restore_hint(environment: str) -> str:
    return f"To restore it: `{restore_command(environment)}`"


@contextlib.contextmanager
def _commands_for(context: str) -> Iterator[None]:
    """Have the sentence of a Problem name this context in its kubectl commands."""
    try:
        yield
    except Problem as problem:
        problem.args = (with_context(str(problem), context),)
        raise


def _cluster(environment: str, dataplane: str | None = None) -> tuple[KubernetesCluster, str]:
    """The cluster and its context."""
    if is_lab(environment):
        raise BadInput("the lab is made for each run and deleted with it: name a cluster with --environment.")
    known = tuple(d.name for d in of_kind(KUBERNETES))
    if dataplane is not None and dataplane not in known:
        other = " is the lab's" if dataplane in BY_NAME else " is unknown"
        raise BadInput(f"dataplane {dataplane!r}{other}: {nearest(dataplane, known)}")
    context = use_deployment(environment)
    return KubernetesCluster(context, at_prompt=True), context


def _print_commands(context: str, lines: list[str], nothing: str, console: Terminal) -> int:
    for line in lines:
        console.print(with_context(line, context), soft_wrap=True)
    if not lines:
        console.print(f"# {nothing}", soft_wrap=True)
    return 0


def _print_changes(context: str, changes: list[Change], console: Terminal) -> None:
    for change in changes:
        console.print(with_context(change.command, context), soft_wrap=True)
