"""Values of options, for tests that go through all of them."""

from steps.catalogue.option_fields import UNBOUNDED, Option
from steps.catalogue.options import defaults

WORDS = {
    "protocols": "udp",
    "directions": "reverse",
    "rate": "5M",
    "budget": "25m",
    "continues": "run-1",
    "congestion_control": "bbr",
    "offloads": "true",
}


def another(option: Option) -> str:
    """A value, as typed, that is nobody's default."""
    if option.name in WORDS:
        return WORDS[option.name]
    assert option.bounds != UNBOUNDED, f"give {option.name} a value here"
    taken = {defaults(profile, kind).get(option.field) for profile in ("smoke", "quick") for kind in ("lab", "prod")}
    low, high = option.bounds.low, option.bounds.high
    between = (value for value in (low + 3, low + 5, (low + high) / 2) if low < value < high)
    return next(f"{value:g}" for value in between if value not in taken)
