"""Flags of several verbs."""

from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter

from analysis.console.documents import Format as DocumentFormat


def flag(text: str, variable: str | None = None, aliases: Iterable[str] = ()) -> Parameter:
    """A flag whose empty default is not shown; a secret one may come from an environment variable instead."""
    names = [f"--{alias.replace('_', '-')}" for alias in aliases]
    return Parameter(help=text, show_default=lambda value: value or None, env_var=variable, alias=names)


ContextFlag = Annotated[str, flag("A context of the kubeconfig; the current one if empty.")]
ResultsFlag = Annotated[str, Parameter(help="The store: a folder, file:// or s3://.")]
AsOwnerFlag = Annotated[
    bool,
    Parameter(help="As root, use a store that another user owns with that user's rights; else refuse it.", negative=""),
]
EnvironmentFlag = Annotated[str, Parameter(help="The name under which the cluster's results are stored.")]
DataplaneFlag = Annotated[str, Parameter(help="Such as ebpf; `run --help` lists them all.")]
DryRunFlag = Annotated[bool, Parameter(help="Print the kubectl commands for it, and change nothing.", negative="")]
FormatFlag = Annotated[
    DocumentFormat,
    Parameter(help="What is printed on standard output: text, or a document as json, yaml, csv or markdown."),
]
