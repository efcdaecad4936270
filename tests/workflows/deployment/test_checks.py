"""What no deployment can be given is refused before anything is asked of the cluster."""

import re
from pathlib import Path

import pytest

from analysis.errors import BadInput
from steps.settings.environment import ACCEPTED
from tests.steps.kube.calico.clusters import findings, label
from tests.steps.kube.calico.inventory.test_agent_environment import container
from tests.steps.kube.fakes.calico import Calico
from workflows.deployment.checks import check, schedule_fault
from workflows.deployment.deploy import deploy
from workflows.flags.deploy import DeployFlags
from workflows.template import nightly

ARGO_PAGE = Path(__file__).parents[3] / "docs" / "argo.md"


NO_TIMES = (
    "1d",
    "zz",
    "1.h5.",
    " 12h",
    "12",
    "h",
    "-1h",
    "0s",
    "999ms",
    "1h ago",
    "\u0663h",
    "9" * 12 + "h",
    "9" * 5000 + "s",
)
"""Times that Go's duration can't be, or that pass before a run has begun."""


@pytest.mark.parametrize(
    "schedule",
    [
        "0 2 * * *",
        nightly.SCHEDULE,
        "*/15 0-6 1,15 jan-mar MON",
        "59 23 31 12 6",
        "0 2 ? * sun,tue",
        "@daily",
        "@every 12h",
        "@every 1h30m",
        "@every 1.5h",
        "@every 1000ms",
        "@every 1000000µs",
    ],
)
def test_valid_cron_schedules_are_accepted(schedule: str) -> None:
    assert schedule_fault(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("nightly", "it has 1 fields, and cron has five"),
        ("0 2 * *", "it has 4 fields"),
        ("0 0 2 * * *", "it has 6 fields"),
        ("60 2 * * *", "its minute '60' is none: write *, or numbers from 0 to 59"),
        ("0 24 * * *", "its hour '24' is none"),
        ("0 2 0 * *", "its day of the month '0' is none"),
        ("0 2 * 13 *", "its month '13' is none"),
        ("0 2 * * 7", "its day of the week '7' is none"),
        ("0 2 * * mo", "its day of the week 'mo' is none"),
        ("*/0 2 * * *", "its minute '*/0' is none"),
        ("5-1 2 * * *", "its minute '5-1' is none"),
        ("\u0663 2 * * *", "its minute"),
        ("999999999999 2 * * *", "its minute"),
        ("@nightly", "write @daily"),
        *((f"@every {text}", "write a time of at least 1 s") for text in NO_TIMES),
    ],
)
def test_invalid_cron_schedules_are_problems(schedule: str, says: str) -> None:
    with pytest.raises(BadInput, match=r"^SCHEDULE is ") as caught:
        check(DeployFlags(schedule=schedule))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"accept": "gitop"}, "ACCEPT is 'gitop': did you mean gitops?"),
        ({"notify_url": "example.com/hook"}, "NOTIFY_URL is no address"),
        ({"notify_url": "https://"}, "NOTIFY_URL is no address"),
        ({"notify_url": "https://[x"}, "NOTIFY_URL is no address"),
        ({"notify_url": "https://x:99999/"}, "NOTIFY_URL is no address"),
        ({"outside": "Node A"}, "OUTSIDE is 'Node A', which is no node's name"),
        ({"outside": "x" * 300}, "OUTSIDE is "),
        ({"environment": "a\nb"}, "ENVIRONMENT must be one line"),
        ({"environment": "x" * 300}, "ENVIRONMENT must be one line"),
    ],
)
def test_invalid_flag_values_are_problems(asked: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        deploy(DeployFlags(**asked))  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


def test_flag_errors_come_all_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        check(DeployFlags(schedule="x", accept="y", notify_url="z", outside="?"))
    assert len(str(caught.value).splitlines()) == 4


def test_valid_flags_are_accepted() -> None:
    check(DeployFlags())
    check(
        DeployFlags(
            accept="gitops, ", notify_url="https://h:1/x?y=z", outside="ip-10-0-0-1.ec2.internal", environment="prod"
        )
    )


def test_every_word_that_a_remedy_says_is_accepted_by_deploy() -> None:
    unread, kept = Calico(), Calico()
    container(unread)["envFrom"].append({"secretRef": {"name": "extra"}})
    label("argocd.argoproj.io/instance", "infra")(kept)
    remedies = [found.remedy or "" for calico in (unread, kept) for found in findings(calico)]
    told = set(re.findall(r"BENCHMARK_ACCEPT=([a-z]+)", " ".join(remedies)))
    assert told == {*ACCEPTED}, "each word has a finding that names it"
    documented = set(re.findall(r"BENCHMARK_ACCEPT: ([a-z]+)", ARGO_PAGE.read_text()))
    assert documented <= {*ACCEPTED}
    (row,) = re.findall(r"^\| `ACCEPT` \|.*$", ARGO_PAGE.read_text(), re.MULTILINE)
    for word in told:
        check(DeployFlags(accept=word))
        assert f"`{word}`: " in row
    check(DeployFlags(accept=",".join(told)))
