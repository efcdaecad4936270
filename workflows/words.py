"""How figures are said in the terminal."""

_MINUTE_S = 60
_HOUR_S = 3600


def duration(seconds: float) -> str:
    """As a person says it: `45 s`, `3 min 10 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        minutes, rest = divmod(whole, _MINUTE_S)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole // _MINUTE_S, _MINUTE_S)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
