"""The answer in one sentence of at most 25 words, from the standings alone. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from analysis import formatting
from analysis.metrics import BY_NAME
from analysis.summary.figures.traffic import Claim, TitledDataplane, TrafficKind, count_claims

MOST_WORDS: Final = 25
_MOST_IN_A_NAME: Final = 4


def answer_sentence(
    sides: Sequence[TitledDataplane], kinds: Sequence[TrafficKind], baseline: str, margin_ratio: float
) -> str:
    """The sentence on a run in which at least two dataplanes were compared on at least one kind of traffic.

    It names the dataplanes that are best or as good on the most kinds; where metrics have different best ones, the best
    by each metric, beginning with that by which another loses most; where too little tells the best apart, those that
    are better than the baseline on the most kinds. Kinds that are undecided and dataplanes that equal the baseline
    follow, as far as 25 words allow.

    `baseline`: the name of the dataplane with which the others are compared.
    """
    total, titles = len(kinds), {side.name: _short(side) for side in sides}
    claims = {name: count_claims(kinds, name) for name in titles}
    against = {name: Counter(kind.cell(name).to_baseline for kind in kinds) for name in titles}
    gains = {name: found["better"] for name, found in against.items()}
    within = f"within {formatting.percent(margin_ratio, sign=False)}"
    equal = sum(kind.are_all_equal for kind in kinds)
    good, gain = max(found["good"] for found in claims.values()), max(gains.values())
    unknown = sum(all(kind.claim(name) in {"undecided", "worse"} for name in titles) for kind in kinds)
    if equal and equal == good:
        subject = formatting.listing([*titles.values()]) if len(titles) == 2 else f"All {len(titles)} dataplanes"  # noqa: PLR2004 - a pair
        main = f"are equal {within} {_on(equal, total)}"
        return _fitting([subject, f"All {len(titles)} dataplanes"], main, [_undecided(unknown)])
    if good < total and (by_metric := _by_metric(kinds, titles, unknown)):
        return by_metric
    if good and (2 * good >= total or good >= gain):
        winners, found = _most(claims)
        same = {name: against[name]["same"] for name in titles if name not in {baseline, *winners}}
        by, rest, open_ = _all_by(kinds, winners), _rest(found), _undecided(found["undecided"])
        equals = _equals(same, titles, baseline, within, total)
        main = f"best or as good {_on(good, total)}"
        return _fitting(_subjects(winners, titles), main, [by, rest, equals, open_], [rest, by, open_, equals])
    if gain:
        winners = [name for name, number in gains.items() if number == gain]
        main = f"better than {titles[baseline]} {_on(gain, total)}"
        doubt = f"; which is best is undecided{'' if unknown == total else f' on {unknown}'}" if unknown else ""
        return _fitting(_subjects(winners, titles), main, [doubt])
    if unknown:
        return f"Which dataplane is best is undecided {_on(unknown, total)}."
    return f"No dataplane is best by every metric {_on(total, total)}."


def _by_metric(kinds: Sequence[TrafficKind], titles: Mapping[str, str], unknown: int) -> str:
    """The best by each leading metric, where no dataplane is the best by all that have one; else empty."""
    groups = _groups(kinds)
    winners = {
        metric: [name for name in titles if all(kind.claim(name) == "good" for kind in found)]
        for metric, found in groups.items()
    }
    decided = {metric: names for metric, names in winners.items() if 0 < len(names) < len(titles)}
    if len(decided) < 2 or set.intersection(*(set(names) for names in decided.values())):  # noqa: PLR2004 - a difference
        return ""
    first, *others = sorted(decided, key=lambda metric: _surest_loss(groups[metric]), reverse=True)
    named = {metric: formatting.listing([titles[name] for name in names]) for metric, names in decided.items()}
    verb = "are each" if decided[first][1:] else "is"
    rest = "".join(f", by {metric} {named[metric]}" for metric in others)
    sentence = f"By {first} {named[first]} {verb} best or as good{rest}"
    fitting = [f"{sentence}{_undecided(unknown)}.", f"{sentence}."]
    short = f"Different dataplanes are best by {formatting.listing([first, *others])}."
    return next((each for each in fitting if len(each.split()) <= MOST_WORDS), short)


def _groups(kinds: Iterable[TrafficKind]) -> dict[str, list[TrafficKind]]:
    """The kinds of traffic by the name of their leading metric: `throughput`, `response time`."""
    groups: dict[str, list[TrafficKind]] = {}
    for kind in kinds:
        groups.setdefault(kind.cells[0].standings[0].title.partition(",")[0], []).append(kind)
    return groups


def _surest_loss(kinds: Iterable[TrafficKind]) -> float:
    """By how much a dataplane surely loses here, as the logarithm of a factor: the end of an interval next to zero."""
    losses = [0.0]
    for standing in (cell.standings[0] for kind in kinds for cell in kind.cells):
        if standing.standing == "worse" and standing.high is not None:
            lower = BY_NAME[standing.metric].better == "lower"
            losses.append(math.log1p(-standing.high) if lower else -math.log1p(max(standing.high, -0.999)))
    return max(losses)


def _all_by(kinds: Sequence[TrafficKind], winners: Sequence[str]) -> str:
    """By which metrics these are good, where they are on all kinds of these metrics and on no others; else empty."""
    groups = _groups(kinds)
    good = {m: [all(k.claim(name) == "good" for name in winners) for k in found] for m, found in groups.items()}
    whole = [metric for metric, found in good.items() if all(found)]
    if len(groups) == 1 or len(whole) == len(groups) or any(any(good[m]) for m in groups if m not in whole):
        return ""
    return f", by {formatting.listing(whole)}" if whole else ""


def _fitting(subjects: Sequence[str], main: str, parts: Sequence[str], important: Sequence[str] = ()) -> str:
    """The sentence with the first of the subjects that fits, and of the parts as many as fit then.

    Args:
        subjects: the beginnings, the last one short whatever the dataplanes are called.
        main: what is said of the subject, short whatever was measured.
        parts: what may be left out, as it is read.
        important: the same, the most important first; as they are read if empty.
    """
    for subject in subjects:
        kept: list[str] = []
        sentence = f"{subject} {main}."
        if len(sentence.split()) > MOST_WORDS:
            continue
        for part in important or parts:
            longer = f"{subject} {main}{''.join(each for each in parts if each in {*kept, part})}."
            if len(longer.split()) <= MOST_WORDS:
                kept, sentence = [*kept, part], longer
        return sentence
    # a sentence that is too long by a word is better than a run without a report
    return f"{subjects[-1]} {main}."


def _subjects(names: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    """The beginnings of a sentence about these dataplanes, the last one short whatever they are called."""
    if len(names) == 1:
        return [f"{titles[names[0]]} is", "One dataplane is"]
    each = "All" if len(names) == len(titles) else ""
    return [
        f"{formatting.listing([titles[name] for name in names])} are each",
        f"{each or len(names)} dataplanes are each",
    ]


def _most(claims: Mapping[str, "Counter[Claim]"]) -> tuple[list[str], "Counter[Claim]"]:
    """The dataplanes that are good on the most kinds of traffic, and of these worse on the fewest; and their claims."""
    rank = {name: (found["good"], -found["worse"], -found["mixed"]) for name, found in claims.items()}
    winners = [name for name in claims if rank[name] == max(rank.values())]
    return winners, claims[winners[0]]


def _rest(found: Mapping[Claim, int]) -> str:
    worse = f", worse on {found['worse']}" if found["worse"] else ""
    return f"{worse}, mixed on {found['mixed']}" if found["mixed"] else worse


def _undecided(number: int) -> str:
    return f"; {number} {'is' if number == 1 else 'are'} undecided" if number else ""


def _equals(same: Mapping[str, int], titles: Mapping[str, str], baseline: str, within: str, total: int) -> str:
    """The dataplanes that equal the baseline on the most kinds of traffic; empty without any."""
    most = max(same.values(), default=0)
    names = [titles[name] for name, number in same.items() if number == most]
    if not most:
        return ""
    extent = "" if most == total else f" on {most}"
    return f"; {formatting.listing(names)} {'equal' if names[1:] else 'equals'} {titles[baseline]} {within}{extent}"


def _on(number: int, total: int) -> str:
    if total == 1:
        return "on the one kind of traffic measured"
    return f"on {f'all {total}' if number == total else f'{number} of {total}'} kinds of traffic"


def _short(side: TitledDataplane) -> str:
    """The title; the name where that is long, in one word."""
    return side.title if len(side.title.split()) <= _MOST_IN_A_NAME else "-".join(side.name.split())
