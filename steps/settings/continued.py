"""The settings of a run that measures more rounds of a stored one, so that both can be judged together."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from analysis.errors import BadInput, Unsupported
from steps.catalogue.option_fields import shown_option
from steps.catalogue.options import Settings, defaults, settings_of
from steps.settings.limits import amount_faults
from steps.strict_model import faults_of

StoredParameters = Mapping[str, Any]
FindRun = Callable[[str], StoredParameters]
"""The stored parameters of a run; raises BadInput where the store has no such run, Unsupported where it is damaged."""

_OWN: Final = frozenset({"rounds", "budget_s", "margin_ratio", "continues", "seed", "label", "results"})
"""What each of the runs has for itself."""

_FEWER: Final = frozenset({"dataplanes", "cells"})
"""What the later run may measure less of."""


def stored_runs(results: str) -> FindRun:
    """The parameters of the runs in a store."""

    def find(run_id: str) -> StoredParameters:
        # imported here, since most runs continue none and should not wait for Parquet
        from analysis.store.index.selection import last_begun, one_run  # noqa: PLC0415
        from analysis.store.store import Store  # noqa: PLC0415

        store = Store(results)
        stock = store.inventory(run_id=run_id, choice=one_run(run_id))
        for runs in stock.runs.values():
            for row in runs.select(["run_id", "parameters"]).to_pylist():
                if row["run_id"] == run_id and row["parameters"]:
                    found: StoredParameters = json.loads(row["parameters"])
                    return found
        for one in stock.left_out:
            if one.run_id == run_id:
                raise Unsupported(one.sentence)
        latest = last_begun(stock.runs.values())
        raise BadInput(
            f"continues is {shown_option(run_id)}, and {store.url} has no such run; "
            + (f"the latest are {', '.join(latest)}" if latest else "it has none yet")
        )

    return find


def continue_run(settings: Settings, typed: Collection[str], find: FindRun | None) -> Settings:
    """The settings of the stored run, with what was typed for this one: rounds, budget, margin and a label.

    Those of a run that continues none are returned as they are.

    It may measure fewer dataplanes or paths, but nothing else in another way. `settings`: as typed, completed as if for
    a run of its own. `typed`: the fields of them that were typed. `find`: finds the stored run that they name; None: it
    is found later, where the store can be reached.

    Raises:
        BadInput: there is no such run, or what was typed is not what it measured.
    """
    if not settings.continues or find is None:
        return settings
    run_id, parameters = settings.continues, find(settings.continues)
    stored = settings_of(parameters)
    stored["dataplanes"] = [arm["name"] if isinstance(arm, dict) else arm for arm in stored.get("dataplanes", ())]
    own = defaults(str(stored.get("profile")), settings.environment)
    try:
        if "services" in stored:
            del own["scales"]
        earlier = Settings.model_validate_json(json.dumps(to_jsonable_python({**own, **stored}), default=str))
    except ValidationError as error:
        raise BadInput(f"run {run_id} can't be continued: {'; '.join(faults_of(error))}") from None
    faults = [
        f"{name.removesuffix('_s')} is that of run {run_id}, which this one continues: leave it out"
        for name in sorted(set(typed) - _OWN - _FEWER)
    ]
    if earlier.environment != settings.environment:
        faults.append(f"run {run_id} was measured in {earlier.environment}, not in {settings.environment}")
    changes: dict[str, object] = {name: getattr(settings, name) for name in _OWN - {"rounds", "margin_ratio"}}
    changes |= {"rounds": own.get("rounds", settings.rounds)}
    changes |= {name: getattr(settings, name) for name in ("rounds", "margin_ratio") if name in typed}
    if "dataplanes" in typed:
        changes["dataplanes"] = settings.dataplanes
        unknown = [arm for arm in settings.dataplanes if arm not in earlier.dataplanes]
        if unknown or settings.dataplanes[0] != earlier.dataplanes[0]:
            faults.append(
                f"dataplanes must be some of run {run_id}, its baseline first, since it continues that: "
                + ", ".join(earlier.dataplanes)
            )
    if "cells" in typed:
        wanted = {cell.topology for cell in settings.cells}
        changes["cells"] = tuple(cell for cell in earlier.cells if cell.topology in wanted)
        if wanted - {cell.topology for cell in earlier.cells}:
            known = ", ".join(dict.fromkeys(cell.topology for cell in earlier.cells))
            faults.append(f"topologies must be some of run {run_id}, which this one continues: {known}")
    continued = earlier.model_copy(update=changes)
    if faults := [*faults, *amount_faults(continued)]:
        raise BadInput("\n".join(faults))
    return continued
