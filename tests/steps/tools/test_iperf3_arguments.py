"""The argument vector of iperf3's client."""

import pytest

from steps.catalogue.options import Settings
from steps.domain import Trial
from steps.measurement.results import task
from steps.measurement.trials import client_command
from steps.settings.settings import choose_settings
from steps.tools.iperf3 import plan
from steps.tools.iperf3.document import TestStart
from tests.steps.builders import placement, settings, trial


def arguments(planned: Trial, chosen: Settings, address: str, port: int) -> list[str]:
    return client_command(placement(address=address, port=port), planned, chosen)


def test_iperf3_arguments_of_a_tcp_trial() -> None:
    command = arguments(trial(direction="reverse"), settings(options="omit=2 streams=1"), "10.0.0.1", 5201)
    assert " ".join(command) == (
        "iperf3 -c 10.0.0.1 -p 5201 -J --connect-timeout 5000 -t 1 -i 0.5 -P 1 -O 2 -R -C cubic"
    )


def test_iperf3_arguments_of_a_udp_trial_share_the_rate_among_streams() -> None:
    chosen = settings(options="protocols=udp")
    paced = arguments(trial(protocol="udp", streams=4, offered_bps=1e9, duration_s=10), chosen, "::1", 5201)
    assert " ".join(paced).endswith("-t 10 -i 1 -P 4 -u -b 250000000 -l 1372 --udp-counters-64bit")
    unlimited = arguments(trial(protocol="udp"), chosen, "::1", 5201)
    assert " ".join(unlimited).endswith("-u -b 0 -l 1372 --udp-counters-64bit")


def test_block_size_argument() -> None:
    chosen = settings(options="block_size=1000 protocols=tcp,udp")
    for protocol in ("tcp", "udp"):
        command = arguments(trial(protocol=protocol), chosen, "10.0.0.1", 1)
        assert command[command.index("-l") + 1] == "1000"


def test_congestion_control_argument() -> None:
    for options, told in (("", []), ("congestion_control=reno", ["-C", "reno"])):
        chosen = choose_settings(profile="smoke", environment="prod", options=options)
        argv = arguments(trial(), chosen, "10.0.0.1", 5201)
        assert [word for word in argv if word in {"-C", "reno"}] == told


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_arguments_match_the_trial(protocol: str, direction: str) -> None:
    """A document of the test that they describe is of the trial's task; one of any other is not."""
    offered_bps = 9e8 if protocol == "udp" else None
    planned = trial(protocol=protocol, direction=direction, streams=3, duration_s=7, offered_bps=offered_bps)
    argv = arguments(planned, settings(options="omit=2"), "10.0.0.1", 5201)
    start = TestStart(
        protocol="UDP" if "-u" in argv else "TCP",
        num_streams=int(argv[argv.index("-P") + 1]),
        blksize=int(argv[argv.index("-l") + 1]) if "-l" in argv else None,
        omit=int(argv[argv.index("-O") + 1]),
        duration=int(argv[argv.index("-t") + 1]),
        reverse=int("-R" in argv),
        target_bitrate=int(argv[argv.index("-b") + 1]) if "-b" in argv else 0,
    )
    assert plan.contradiction(start, task(planned, 2), argv) is None
    assert plan.number_after("-l", argv) == (1372 if protocol == "udp" else None)
    other = task(planned.model_copy(update={"streams": 2}), 2)
    assert "streams 3, not 2" in str(plan.contradiction(start, other, argv))
