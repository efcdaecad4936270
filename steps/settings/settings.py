"""The settings of a run: made from what a user typed, and checked again where a step receives them."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final, cast, get_args

from pydantic import ValidationError

from analysis.errors import BadInput
from analysis.store.storage.urls import parse_url
from steps.catalogue import profiles, tools
from steps.catalogue import topologies as topologies_catalogue
from steps.catalogue.arms import arm_fault
from steps.catalogue.cells import PlannedCell
from steps.catalogue.dataplanes import of_kind
from steps.catalogue.environments import LAB, is_lab, kind_of
from steps.catalogue.factors import FACTORS, Number, default_values, list_faults, scales_of
from steps.catalogue.option_fields import items, nearest, parse_options, shown_option
from steps.catalogue.options import BY_NAME, MOST_ARMS, Settings, defaults
from steps.settings.continued import FindRun, continue_run
from steps.settings.limits import amount_faults, catalogue_faults, place_faults
from steps.strict_model import faults_of
from steps.tools.tool import Direction

LONGEST_TEXT: Final = 20_000
"""Characters of one field of the form: nobody types more."""

_LONGEST_LABEL: Final = 200
_LONGEST_ENVIRONMENT: Final = 253
"""The longest name in Kubernetes."""

_NODES = re.compile(r"\s*[a-z0-9.-]{1,253}\s*,\s*[a-z0-9.-]{1,253}\s*")
_DEFAULT_PROTOCOLS: Final = tuple(name for name, (_, variant) in tools.VARIANTS.items() if variant.by_default)
"""Measured where paths or directions are chosen, and no protocol is."""


def load_settings(text: str) -> Settings:
    """Settings that an earlier step passed on as JSON, checked against every bound again.

    Raises:
        BadInput: they are damaged, or beyond a bound.
    """
    try:
        settings = Settings.model_validate_json(text)
        faults = [*catalogue_faults(settings), *amount_faults(settings)]
    except ValidationError as error:
        faults = faults_of(error)
    if faults:
        raise BadInput(
            f"the settings that this step was given are not valid: {'; '.join(faults)}: they come from the step "
            "`validate`, so submit the run anew."
        )
    return settings


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
    seed_source: Callable[[], int] = lambda: secrets.randbelow(2**31),
    find_run: FindRun | None = None,
) -> Settings:
    """The settings for the texts of the form or of the command line; a blank text is the profile's default.

    Args:
        profile: a name of `steps.catalogue.profiles`.
        dataplanes: comma-separated arms, the first being the baseline; blank: all of the environment.
        topologies: comma-separated; blank: the profile's.
        options: `NAME=VALUE` with spaces between, over the profile's own.
        label: free text, stored with the results.
        environment: lab, or the name of a cluster.
        results: the store.
        nodes: of a cluster, CLIENT,SERVER; blank: chosen by preflight. Only its form is checked here.
        seed_source: draws a seed where `options` has none.
        find_run: finds the stored run that `options` continues, whose settings then apply; None: none is looked for.

    Raises:
        BadInput: a sentence for each fault, one a line.
    """
    _check_texts(
        {
            "profile": profile,
            "dataplanes": dataplanes,
            "topologies": topologies,
            "options": options,
            "label": label,
            "environment": environment,
            "results": results,
            "nodes": nodes,
        }
    )
    given, faults = parse_options(options, BY_NAME)
    typed = {*given, *(["dataplanes"] if items(dataplanes) else ()), *(["cells"] if items(topologies) else ())}
    chosen = profile.strip() or profiles.DEFAULT
    if chosen not in profiles.BY_NAME:
        faults.append(f"unknown profile {shown_option(chosen)}: {nearest(chosen, profiles.BY_NAME)}")
    base = profiles.BY_NAME.get(chosen, profiles.BY_NAME[profiles.DEFAULT])
    arms = _arms(dataplanes, environment.strip(), faults)
    paths = _topologies(topologies, faults)
    protocols = cast("tuple[str, ...] | None", given.pop("protocols", None))
    directions = cast("tuple[Direction, ...] | None", given.pop("directions", None))
    if protocols and directions:
        able = [name for name, (tool, _) in tools.VARIANTS.items() if {*directions} & {*tool.directions}]
        usual = [name for name in able if name in _DEFAULT_PROTOCOLS]
        if not {*protocols} & {*able}:
            faults.append(
                f"{', '.join(protocols)} has no {', '.join(directions)} direction: leave directions out, or add "
                f"protocols={' or '.join(usual)}"
            )
    cells = _cells(base, paths, protocols, directions, environment)
    values = _factor_values(given, base.name, environment, faults)
    rate = given.pop("offered_bps", None)
    faults += _rate_faults(rate, cells)
    faults += _address_faults(results)
    if nodes.strip() and _NODES.fullmatch(nodes) is None:
        faults.append(
            f"nodes must be two names, CLIENT,SERVER, got {shown_option(nodes)}: leave it blank to have two chosen"
        )
    if len(label) > _LONGEST_LABEL or not label.isprintable():
        faults.append(f"label must be one line of at most {_LONGEST_LABEL} characters")
    if "seed" not in given:
        given["seed"] = seed_source()
    fields = {
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
    try:
        if not faults:
            fields["scales"] = scales_of(values)
        settings = Settings.model_validate(fields)
    except ValidationError as error:
        # with faults of what was typed, those of the model only repeat them
        raise BadInput("\n".join(faults or faults_of(error))) from None
    if faults := [*faults, *place_faults(settings), *amount_faults(settings)]:
        raise BadInput("\n".join(faults))
    return continue_run(settings, typed, find_run)


def _factor_values(
    given: dict[str, object], profile: str, environment: str, faults: list[str]
) -> dict[str, tuple[Number, ...]]:
    """The values of each factor, which are taken out of what was given."""
    values = default_values(profile, is_lab=is_lab(environment))
    values |= {name: cast("tuple[Number, ...]", given.pop(name)) for name in FACTORS if name in given}
    faults += list_faults(values)
    return values


def _rate_faults(rate: object, cells: Iterable[PlannedCell]) -> list[str]:
    """That a rate was given where nothing is paced."""
    if not rate or any(cell.variant.is_paced for cell in cells):
        return []
    paced = {name: variant.title for name, (_, variant) in tools.VARIANTS.items() if variant.is_paced}
    titles = " or ".join(paced.values())
    return [
        f"rate limits {titles} only, and no {titles} is measured: add protocols={','.join(paced)}, or leave rate out"
    ]


def _address_faults(results: str) -> list[str]:
    """The fault of a store's address, which is stored with the run and shown: such as credentials in it."""
    try:
        parse_url(results.strip() or "results")
    except BadInput as problem:
        return [str(problem)]
    return []


def _check_texts(texts: dict[str, str]) -> None:
    """Raise BadInput for a text that is too long or can't be stored."""
    for name, text in texts.items():
        if len(text) > LONGEST_TEXT:
            raise BadInput(f"{name} has {len(text)} characters, and {LONGEST_TEXT} is the most")
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadInput(f"{text[:60]!r} has characters that are not UTF-8 text: type it anew")


def _arms(text: str, environment: str, faults: list[str]) -> tuple[str, ...]:
    if not environment:
        faults.append("environment is blank: name lab or a cluster")
    elif len(environment) > _LONGEST_ENVIRONMENT or not environment.isprintable():
        faults.append(f"environment must be one line of at most {_LONGEST_ENVIRONMENT} characters")
    names = items(text)
    if text.strip() and not names:
        faults.append(f"dataplanes is {shown_option(text)}, which names none: name at least one, or leave it out")
    if len(names) > MOST_ARMS:
        faults.append(f"dataplanes names {len(names)}, and {MOST_ARMS} is the most")
        return ()
    faults += filter(None, (arm_fault(name, environment) for name in dict.fromkeys(names)))
    faults += [
        f"dataplane {name} is given twice: label one to make it a twin, {name.partition('+')[0]}+twin"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    return tuple(names) or tuple(d.name for d in of_kind(kind_of(environment)) if d.by_default)


def _topologies(text: str, faults: list[str]) -> tuple[str, ...] | None:
    known, names = topologies_catalogue.BY_NAME, items(text)
    if text.strip() and not names:
        faults.append(f"topologies is {shown_option(text)}, which names none: name at least one, or leave it out")
    for name in dict.fromkeys(names):
        if name not in known:
            faults.append(f"unknown topology {shown_option(name)}: {nearest(name, known)}")
        elif names.count(name) > 1:
            faults.append(f"topology {name} is given twice: give it once")
    return tuple(name for name in known if name in names) if names else None


def _cells(
    profile: profiles.Profile,
    paths: tuple[str, ...] | None,
    protocols: tuple[str, ...] | None,
    directions: tuple[Direction, ...] | None,
    environment: str,
) -> tuple[PlannedCell, ...]:
    if profile.cells is not None:
        own = tuple(cell for cell in profile.cells if tools.measures_in(cell.program, lab=is_lab(environment)))
    else:
        own = (
            *_product(topologies_catalogue.BY_NAME, _DEFAULT_PROTOCOLS, get_args(Direction)),
            *profiles.LATENCY,
            *profiles.SHAPES,
        )
    if protocols is None and directions is None:
        if paths is None:
            return own
        of_path = {path: [cell for cell in own if cell.topology == path] for path in paths}
        return tuple(cell for path in paths for cell in of_path[path] or _product([path], _DEFAULT_PROTOCOLS[:1], None))
    return _product(paths or dict.fromkeys(cell.topology for cell in own), protocols or _DEFAULT_PROTOCOLS, directions)


def _product(
    paths: Iterable[str], protocols: Iterable[str], directions: tuple[Direction, ...] | None
) -> tuple[PlannedCell, ...]:
    """Each path by each protocol, in those of the directions that the protocol can measure, or else in its first.

    The directions are each path's most informative one where they are None.
    """
    cells = []
    for path in paths:
        for protocol in protocols:
            tool, variant = tools.VARIANTS[protocol]
            wanted = directions or (topologies_catalogue.BY_NAME[path].direction,)
            able = [direction for direction in wanted if direction in tool.directions] or tool.directions[:1]
            cells += [
                PlannedCell(topology=path, tool=tool.name, transport=variant.transport, direction=direction)
                for direction in able
            ]
    return tuple(cells)
