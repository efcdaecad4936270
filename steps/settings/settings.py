"""The settings of a run: what a person chose, completed by the profile, checked, and passed from step to step.

`choose` makes them from the few texts of the form or of the command line, and `load` from what an earlier step handed
on. What can be chosen, with all bounds and defaults, is in `steps.catalogue.options`.
"""

import re
import secrets
from collections.abc import Callable
from typing import Final, cast

from pydantic import ValidationError

from analysis.errors import BadInput
from analysis.store.urls import parse_url
from steps.catalogue import profiles, tools
from steps.catalogue import topologies as topologies_catalogue
from steps.catalogue.arms import arm_fault
from steps.catalogue.cells import Cell
from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import LAB, is_lab, kind_of
from steps.catalogue.option_fields import items, nearest, parse_options, shown_option
from steps.catalogue.options import BY_NAME, MOST_ARMS, Settings, defaults
from steps.strict_model import faults_of
from steps.tools.tool import Direction, Tool


def load_settings(text: str) -> Settings:
    """Settings that an earlier step handed on as JSON, held to their bounds again.

    Raises:
        BadInput: they are damaged, or beyond a bound.
    """
    try:
        return Settings.model_validate_json(text)
    except ValidationError as error:
        raise BadInput(
            f"the settings that this step was given are no valid ones: {'; '.join(faults_of(error))}: they come from "
            "the step `validate`, so submit the run anew."
        ) from None


LONGEST_S: Final = 24 * 3600
"""A run that would send for longer than this is taken for a typing error."""

MOST_TRIALS: Final = 20_000
"""A run of more trials than this is taken for a typing error."""

MOST_VISITS: Final = 250
"""Of a run on a cluster: Argo keeps every node of a workflow in one object of at most 1 MiB, packed.

A visit takes about 2.5 kB of that.
"""

LONGEST_TEXT: Final = 20_000
"""Of one field of the form: a longer one was not typed by a person."""

_LONGEST_ENVIRONMENT: Final = 253
"""The most that Kubernetes gives a name."""

_NODES = re.compile(r"\s*[a-z0-9.-]{1,253}\s*,\s*[a-z0-9.-]{1,253}\s*")


def draw_seed() -> int:
    """A seed for the order of a run for which none was chosen."""
    return secrets.randbelow(2**31)


def choose_settings(
    *,
    profile: str = "",
    dataplanes: str = "",
    topologies: str = "",
    options: str = "",
    label: str = "",
    environment: str = LAB,
    results: str = "results",
    nodes: str = "",
    seed_source: Callable[[], int] = draw_seed,
) -> Settings:
    """The settings that the texts of the form or of the command line ask for; a blank text is the profile's default.

    Args:
        profile: a name of `steps.catalogue.profiles`.
        dataplanes: comma-separated arms, the first being the baseline; blank: all of the environment.
        topologies: comma-separated; blank: the profile's.
        options: `NAME=VALUE` with spaces between, over the profile's own.
        label: free text, kept with the results.
        environment: lab, or the name of a cluster.
        results: the store.
        nodes: of a cluster, CLIENT,SERVER; blank: chosen by preflight. Only its form is checked here.
        seed_source: draws a seed where `options` names none.

    Raises:
        BadInput: a sentence for each fault, one a line.
    """
    _refuse_endless(locals())
    _refuse_what_is_no_text(profile, dataplanes, topologies, options, label, environment, results, nodes)
    given, faults = parse_options(options, BY_NAME)
    chosen = profile.strip() or profiles.DEFAULT
    if chosen not in profiles.BY_NAME:
        faults.append(f"unknown profile {shown_option(chosen)}: {nearest(chosen, profiles.BY_NAME)}")
    base = profiles.BY_NAME.get(chosen, profiles.BY_NAME[profiles.DEFAULT])
    arms = _arms(dataplanes, environment.strip(), faults)
    paths = _topologies(topologies, faults)
    protocols = cast("tuple[str, ...] | None", given.pop("protocols", None))
    directions = cast("tuple[Direction, ...] | None", given.pop("directions", None))
    if protocols and directions and not {*protocols} & (able := _able(directions)).keys():
        faults.append(
            f"{', '.join(protocols)} has no {', '.join(directions)} direction: leave directions out, or add "
            f"protocols={' or '.join(able)}"
        )
    cells = _cells(base, paths, protocols, directions)
    rate = given.pop("offered_bps", None)
    if rate and not any(cell.variant.is_paced for cell in cells):
        paced = [name for name, (_, variant) in tools.VARIANTS.items() if variant.is_paced]
        names = " or ".join(tools.VARIANTS[name][1].title for name in paced)
        faults.append(
            f"rate limits {names} only, and no {names} is measured: add protocols={','.join(paced)}, or leave rate out"
        )
    try:
        parse_url(results.strip() or "results")
    except BadInput as problem:
        faults.append(str(problem))
    if nodes.strip() and _NODES.fullmatch(nodes) is None:
        faults.append(
            f"nodes must be two names, CLIENT,SERVER, got {shown_option(nodes)}: leave it blank to have two chosen"
        )
    if len(label) > 200 or not label.isprintable():  # noqa: PLR2004
        faults.append("label must be one line of at most 200 characters")
    if "seed" not in given:
        given["seed"] = seed_source()
    settings, found = _validated(
        {
            **defaults(base.name, environment),
            **given,
            "profile": base.name,
            "environment": environment.strip(),
            "dataplanes": arms,
            "cells": cells,
            "offered_bps": rate or None,
            "label": label.strip(),
            "results": results.strip() or "results",
        }
    )
    # What was reported already as it was typed need not be reported again as what came of it.
    faults += [] if faults and settings is None else found
    if faults or settings is None:
        raise BadInput("\n".join(faults))
    return settings


def _validated(values: dict[str, object]) -> tuple[Settings | None, list[str]]:
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        return None, faults_of(error)
    return settings, _contradictions(settings)


def _refuse_endless(texts: dict[str, object]) -> None:
    for name, text in texts.items():
        if isinstance(text, str) and len(text) > LONGEST_TEXT:
            raise BadInput(f"{name} has {len(text)} characters, and {LONGEST_TEXT} is the most")


def _refuse_what_is_no_text(*texts: str) -> None:
    """Raise BadInput for what can't be kept with the results, nor name a place: bytes that are no text, and NUL."""
    for text in texts:
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadInput(f"{text[:60]!r} has characters that are not of UTF-8 text: type it anew")


def _arms(text: str, environment: str, faults: list[str]) -> tuple[str, ...]:
    if not environment:
        faults.append("environment is blank: name lab or a cluster")
    elif len(environment) > _LONGEST_ENVIRONMENT or not environment.isprintable():
        faults.append(f"environment must be one line of at most {_LONGEST_ENVIRONMENT} characters")
    names = items(text)
    if text.strip() and not names:
        faults.append(
            f"dataplanes is {shown_option(text)}, which names none: name at least one, or leave it out for all"
        )
    if len(names) > MOST_ARMS:
        faults.append(f"dataplanes names {len(names)}, and {MOST_ARMS} is the most")
        return ()
    arm_faults = (arm_fault(name, environment) for name in dict.fromkeys(names))
    faults += [fault for fault in arm_faults if fault]
    faults += [
        f"dataplane {name} is given twice: label one to make it a twin, {name.partition('+')[0]}+twin"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return tuple(names) or tuple(d.name for d in of_kind(kind_of(environment)) if d.unasked)


def _topologies(text: str, faults: list[str]) -> tuple[str, ...] | None:
    names = items(text)
    if text.strip() and not names:
        faults.append(f"topologies is {shown_option(text)}, which names none: name at least one, or leave it out")
    for name in dict.fromkeys(names):
        if name not in topologies_catalogue.BY_NAME:
            faults.append(f"unknown topology {shown_option(name)}: {nearest(name, topologies_catalogue.BY_NAME)}")
        elif names.count(name) > 1:
            faults.append(f"topology {name} is given twice: give it once")
    known = {name for name in names if name in topologies_catalogue.BY_NAME}
    return tuple(t.name for t in topologies_catalogue.TOPOLOGIES if t.name in known) if names else None


def _cells(
    profile: profiles.Profile,
    paths: tuple[str, ...] | None,
    protocols: tuple[str, ...] | None,
    directions: tuple[Direction, ...] | None,
) -> tuple[Cell, ...]:
    own = profile.cells if profile.cells is not None else _every_cell()
    if protocols is None and directions is None:
        if paths is None:
            return own
        return tuple(c for path in paths for c in (*(c for c in own if c.topology == path),) or (_telling(path),))
    if paths is None:
        paths = tuple(dict.fromkeys(c.topology for c in own))
    return tuple(
        _cell(path, protocol, direction)
        for path in paths
        for protocol in protocols or _UNASKED
        for direction in _directions(path, protocol, directions)
    )


_UNASKED: Final = tuple(name for name, (_, variant) in tools.VARIANTS.items() if variant.unasked)
"""What measures where paths or directions are chosen, and no protocol is."""


def _cell(path: str, protocol: str, direction: Direction) -> Cell:
    tool, variant = tools.VARIANTS[protocol]
    return Cell(topology=path, tool=tool.name, transport=variant.transport, direction=direction)


def _every_cell() -> tuple[Cell, ...]:
    directions: tuple[Direction, ...] = ("forward", "reverse")
    streams = (
        _cell(topology.name, protocol, direction)
        for topology in topologies_catalogue.TOPOLOGIES
        for protocol in _UNASKED
        for direction in _directions(topology.name, protocol, directions)
    )
    return (*streams, *profiles.CONNECT)


def _telling(path: str) -> Cell:
    return _cell(path, _UNASKED[0], topologies_catalogue.BY_NAME[path].direction)


def _directions(path: str, protocol: str, asked: tuple[Direction, ...] | None) -> tuple[Direction, ...]:
    """Of the directions asked for, or the one that tells most, those that a protocol can measure; its first if none."""
    able = tools.VARIANTS[protocol][0].directions
    wanted = asked or (topologies_catalogue.BY_NAME[path].direction,)
    return tuple(direction for direction in wanted if direction in able) or able[:1]


def _able(directions: tuple[Direction, ...]) -> dict[str, Tool]:
    """What can measure in one of these directions."""
    return {name: tool for name, (tool, _) in tools.VARIANTS.items() if {*directions} & {*tool.directions}}


def _contradictions(settings: Settings) -> list[str]:
    faults = []
    block = settings.block_size_bytes or 0
    faults += [
        f"block_size must be at most {most} B where {variant.title} is measured, got {block} B"
        for variant in dict.fromkeys(cell.variant for cell in settings.cells)
        if (most := variant.most_block_bytes) is not None and block > most
    ]
    if settings.offered_bps is not None and settings.offered_bps < settings.streams:
        faults.append(f"rate must be at least 1 bit/s for each of the {settings.streams} streams")
    visits = settings.rounds * len(settings.dataplanes)
    trials = visits * len(settings.cells) * settings.repetitions
    seconds = trials * (settings.duration_s + settings.omit_s)
    remedy = "lower visits, repetitions or duration, or choose fewer dataplanes and topologies"
    if seconds > LONGEST_S:
        faults.append(f"this would send for {seconds / 3600:.0f} h, and {LONGEST_S / 3600:.0f} h is the most: {remedy}")
    elif trials > MOST_TRIALS:
        faults.append(f"this would be {trials} trials, and {MOST_TRIALS} is the most: {remedy}")
    if visits > MOST_VISITS and not is_lab(settings.environment):
        faults.append(
            f"this would be {visits} visits, and {MOST_VISITS} is the most that a workflow can keep: lower visits, or "
            "choose fewer dataplanes"
        )
    return faults
