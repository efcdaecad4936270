from typing import Any, cast

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from analysis.errors import BadInput
from analysis.stats.nights.regressions import LIMIT_RATIO
from analysis.store.index.run_entries import Parameters
from steps.catalogue import profiles, topologies
from steps.catalogue.dataplanes import DATAPLANES
from steps.catalogue.options import Settings, defaults
from steps.catalogue.tools import VARIANTS
from steps.settings.settings import choose_settings


def faults(**texts: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        choose_settings(**cast("Any", texts))
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def cells(settings: Settings) -> list[tuple[str, str, str]]:
    return [(c.topology, c.variant.name, c.direction) for c in settings.cells]


@pytest.mark.parametrize(("environment", "kind"), [("lab", "lab"), ("prod", "kubernetes")])
@pytest.mark.parametrize("profile", [p.name for p in profiles.PROFILES])
def test_every_profile_makes_settings(profile: str, environment: str, kind: str) -> None:
    settings = choose_settings(profile=profile, environment=environment)
    amount = defaults(profile, environment)
    assert {"rounds", "duration_s", "idle_s", "congestion_control"} <= amount.keys()
    assert {name: getattr(settings, name) for name in amount} == amount
    assert settings.dataplanes == tuple(d.name for d in DATAPLANES if d.environment == kind and d.by_default)
    assert settings.cells


@pytest.mark.parametrize("nodes", ["a", "a,b,c", "a;b", '"}, {"x": "y,z', "a,B"])
def test_nodes_that_are_not_two_names_are_refused(nodes: str) -> None:
    (fault,) = faults(nodes=nodes, environment="prod")
    assert fault.startswith("nodes must be two names, CLIENT,SERVER")


@pytest.mark.parametrize("topology", [t.name for t in topologies.TOPOLOGIES])
@pytest.mark.parametrize("profile", [p.name for p in profiles.PROFILES])
def test_every_topology_can_be_chosen_in_every_profile(profile: str, topology: str) -> None:
    assert {c.topology for c in choose_settings(profile=profile, topologies=topology).cells} == {topology}


def test_blank_options_are_defaults() -> None:
    settings = choose_settings(seed_source=lambda: 7)
    assert (settings.profile, settings.environment, settings.results, settings.seed) == ("quick", "lab", "results", 7)
    assert settings.offered_bps is None


def test_regression_limit_default_matches_the_analysis() -> None:
    assert choose_settings().regression_limit_ratio == LIMIT_RATIO
    assert choose_settings(options="regression_limit=0.1").regression_limit_ratio == 0.1


def test_seed_is_random_by_default() -> None:
    assert choose_settings().seed != choose_settings().seed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("duration=0.05", 'duration must be at least 1 s, got 0.05 s (iperf3 reads it as "for ever")'),
        ("duration=0", 'duration must be at least 1 s, got 0 s (iperf3 reads it as "for ever")'),
        ("duration_s=1.5", "duration_s must be a whole number, got 1.5 s"),
        ("duration=ten", "duration must be a number, got 'ten'"),
        ("duration=inf", "duration must be a finite number, got 'inf'"),
        ("duration=nan", "duration must be a finite number, got 'nan'"),
        ("regression_limit=0", "regression_limit must be a share above 0 and below 1, such as 0.05 for 5 %, got '0'"),
        ("regression_limit=5", "regression_limit must be a share above 0 and below 1, such as 0.05 for 5 %, got '5'"),
        ("repetitions=0", "repetitions must be at least 1, got 0"),
        ("rounds=0", "rounds must be at least 1, got 0"),
        ("visits=0", "visits must be at least 1, got 0"),
        ("budget=20", "budget must be at least 60 s, got 20 s"),
        ("budget=49h", "budget must be at most 172800 s, got 176400 s"),
        ("budget=soon", "budget must be a length of time such as 20m, 1h30m or 900s, got 'soon'"),
        ("continues=a/b", "continues must be the id of a stored run, got 'a/b'"),
        ("streams=0", "streams must be at least 1, got 0"),
        ("streams=129", "streams must be at most 128, got 129"),
        ("omit=-1", "omit must be at least 0 s, got -1 s"),
        ("rate=fast protocols=udp", "rate must be bits per second such as 100M, 2.5G or 0 for no limit, got 'fast'"),
        (
            "rate=100M protocols=tcp",
            "rate limits UDP only, and no UDP is measured: add protocols=udp, or leave rate out",
        ),
        ("protocols=tpc", "unknown protocol 'tpc': did you mean tcp?"),
        ("protocols=", f"protocols must name at least one of {', '.join(VARIANTS)}"),
        ("protocols=tcp,tcp", "protocols names one of them twice: tcp, tcp"),
        ("directions=back", "unknown direction 'back': known are forward, reverse"),
        (
            "protocols=connect directions=reverse",
            "connect has no reverse direction: leave directions out, or add protocols=tcp or udp",
        ),
        ("offloads=maybe", "offloads must be true or false, got 'maybe'"),
        ("duration", "option 'duration' has no value: write it as NAME=VALUE"),
        ("duration=1 duration_s=2", "option duration_s is given twice: give it once"),
        (
            "congestion_control=../x",
            "congestion_control must be the name of a Linux algorithm such as cubic or bbr, got '../x'",
        ),
        ("block_size=70000 protocols=udp", "block_size must be at most 65507 B where UDP is measured, got 70000 B"),
        ("repitions=2", "unknown option 'repitions': did you mean repetitions or directions?"),
    ],
)
def test_invalid_option_is_a_problem(options: str, sentence: str) -> None:
    assert faults(options=options) == [sentence]


@pytest.mark.parametrize(
    ("texts", "beginning"),
    [
        ({"profile": "quik"}, "unknown profile 'quik': did you mean quick?"),
        ({"dataplanes": "lab-iptable"}, "unknown dataplane 'lab-iptable': did you mean lab-iptables"),
        ({"topologies": "pod-to-pood"}, "unknown topology 'pod-to-pood': did you mean pod-to-pod"),
        ({"topologies": "pod-to-pod,pod-to-pod"}, "topology pod-to-pod is given twice"),
        ({"dataplanes": "lab-ebpf,lab-ebpf"}, "dataplane lab-ebpf is given twice: label one to make it a twin"),
        ({"dataplanes": "lab-ebpf+"}, "label of dataplane 'lab-ebpf+' must be"),
        ({"dataplanes": "lab-ebpf+a/b"}, "label of dataplane 'lab-ebpf+a/b' must be"),
        ({"dataplanes": "lab-iptables+burden=x"}, "dataplane 'lab-iptables+burden=x' needs a number of rules"),
        (
            {"dataplanes": "lab-ebpf", "environment": "prod"},
            "dataplane lab-ebpf belongs to lab, and environment 'prod' is",
        ),
        ({"label": "two\nlines"}, "label must be one line"),
        ({"options": "rounds=1000 duration=3600"}, "this would send for "),
        ({"options": "rounds=1000 repetitions=20 protocols=connect"}, "this would "),
    ],
)
def test_invalid_choice_is_a_problem(texts: dict[str, str], beginning: str) -> None:
    found = faults(**texts)
    assert len(found) == 1
    assert found[0].startswith(beginning)


def test_settings_errors_come_all_at_once() -> None:
    found = faults(profile="x", dataplanes="y", topologies="z", options="duration=0 rounds=0 nonsense=1")
    assert len(found) == 6


@pytest.mark.parametrize(
    ("text", "bps"), [("100M", 1e8), ("1G", 1e9), ("2.5g", 2.5e9), ("1000", 1e3), ("5Mbit/s", 5e6), ("0", None)]
)
def test_rate_suffixes_as_in_iperf3(text: str, bps: float | None) -> None:
    assert choose_settings(options=f"protocols=udp rate={text}").offered_bps == bps


def test_topologies_filter_the_profile_and_get_their_direction() -> None:
    settings = choose_settings(profile="smoke", topologies="external-to-nodeport, pod-to-pod")
    assert cells(settings) == [("pod-to-pod", "tcp", "forward"), ("external-to-nodeport", "tcp", "reverse")]


def test_cells_are_protocols_times_directions() -> None:
    settings = choose_settings(
        topologies="external-to-nodeport", options="protocols=tcp,connect directions=forward,reverse"
    )
    assert cells(settings) == [
        ("external-to-nodeport", "tcp", "forward"),
        ("external-to-nodeport", "tcp", "reverse"),
        ("external-to-nodeport", "connect", "forward"),
    ]
    telling = choose_settings(topologies="external-to-nodeport", options="protocols=udp")
    assert cells(telling) == [("external-to-nodeport", "udp", "reverse")]


def test_thorough_measures_everything() -> None:
    measured = cells(choose_settings(profile="thorough"))
    assert {topology for topology, _, _ in measured} == set(topologies.BY_NAME)
    assert {protocol for _, protocol, _ in measured} >= {
        "connect",
        "ping-pong",
        "ping-pong-load90",
        "tcp-8",
        "tcp-both",
        "ladder-64",
    }
    for topology in topologies.BY_NAME:
        assert {c for c in measured if c[0] == topology} >= {
            (topology, protocol, direction) for protocol in ("tcp", "udp") for direction in ("forward", "reverse")
        }


def test_twin_and_burden_arms() -> None:
    arms = ("lab-iptables", "lab-iptables+twin", "lab-iptables+burden=100")
    assert choose_settings(dataplanes=",".join(arms)).dataplanes == arms


def test_omit_as_long_as_the_trial() -> None:
    assert choose_settings(options="omit=5 duration=1").omit_s == 5


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=60))
def test_any_options_give_settings_or_a_problem(dataplanes: str, topologies: str, options: str) -> None:
    sentences = None
    try:
        settings = choose_settings(dataplanes=dataplanes, topologies=topologies, options=options)
    except BadInput as problem:
        sentences = str(problem)
    if sentences is None:
        assert Settings.model_validate_json(settings.model_dump_json()) == settings
        assert settings.cells
        assert settings.dataplanes
    else:
        assert sentences.strip()


def test_stored_parameters_have_the_bounds_of_the_settings() -> None:
    """A run whose parameters are beyond them was not written by this program, and is left out by name."""

    def bounds(model: type[BaseModel], name: str) -> list[object]:
        return [each for each in model.model_fields[name].metadata if isinstance(each, Ge | Gt | Le | Lt)]

    for name in ("rounds", "budget_s", "margin_ratio", "regression_limit_ratio"):
        assert len(bounds(Parameters, name)) == 2, name
        assert bounds(Parameters, name) == bounds(Settings, name), name
