"""Whatever is changed in a lock's snapshot, a restore sets only what a switch changes, or refuses with a sentence."""

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from analysis.errors import Problem
from steps.cluster.kube.api.fields import Field, Value
from steps.cluster.kube.ownership.snapshot import snapshot_objects
from steps.cluster.kube.plugins.calico.switching.cluster_state import read_state
from steps.cluster.kube.plugins.calico.switching.fields import state, touchable
from tests.security.locks.forged_locks import (
    ENDPOINT,
    Object,
    assert_only_permitted_changes,
    assert_services_work,
    contents,
    lock_object,
)
from tests.steps.kube.fakes.api import KilledError, direct_client
from tests.steps.kube.fakes.calico import Calico
from tests.steps.kube.switching import CLUSTERS, held, put_back, switch

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 5),
    st.text(max_size=5),
    st.sampled_from(
        ["BPF", "Iptables", "DSR", "Auto", "Enabled", "true", "nftables", "kube-proxy", "default", ENDPOINT]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, snapshot: Object) -> Object:
    """A snapshot of which a part is replaced, deleted, repeated, or taken from another place of it."""
    mutated = copy.deepcopy(snapshot)
    every = [path for path in paths(mutated) if path]
    near = [path for path in every if len(path) <= 5]
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(near) | st.sampled_from(every))
        holder: Any = mutated
        try:
            for key in way:
                holder = holder[key]
            holder[last]
        except (KeyError, IndexError, TypeError):
            continue
        kind = draw(st.sampled_from(["replace", "delete", "repeat", "graft"]))
        if kind == "replace":
            holder[last] = draw(VALUES)
        elif kind == "delete":
            del holder[last]
        elif kind == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            other: Any = snapshot
            for key in draw(st.sampled_from(near) | st.sampled_from(every)):
                other = other[key]
            holder[last] = copy.deepcopy(other)
    return mutated


def values(snapshot: Object, fields: tuple[Field, ...]) -> dict[Field, Value] | None:
    try:
        return state(snapshot_objects(snapshot), fields)
    except (KeyError, TypeError, AttributeError):
        return None


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate],  # shrinking whole objects takes minutes
)
@given(
    data=st.data(),
    calico=CLUSTERS,
    dataplane=st.sampled_from(["iptables", "nftables", "ebpf", "ebpf-dsr"]),
    kill=st.none() | st.tuples(st.integers(0, 4), st.booleans()),
)
def test_mutated_snapshot_restores_permitted_fields_or_is_refused(
    data: st.DataObject, calico: Calico, dataplane: str, kill: tuple[int, bool] | None
) -> None:
    assume(not (dataplane == "nftables" and "3.28" in str(calico.store.objects)))
    original, as_before = contents(calico), calico.settings()
    client, _transport = direct_client(calico.store)
    fields = touchable(read_state(client, to_switch=True).facts)
    switch(calico, dataplane)
    true_lock = json.loads(lock_object(calico)["data"]["snapshot"])
    mutated = data.draw(mutations(true_lock))
    lock_object(calico)["data"]["snapshot"] = json.dumps(mutated)
    before = contents(calico)
    sentence = ""
    try:
        if kill is not None:
            with contextlib.suppress(KilledError):
                put_back(calico, insist=True, kill_at=kill[0], late=kill[1])
            assert_only_permitted_changes(before, contents(calico))
        put_back(calico, insist=True)
    except Problem as problem:
        sentence = str(problem)
    event("refused" if sentence else "restored")
    assert "\n" not in sentence
    assert held(calico) == ("kubectl" in sentence)
    after = contents(calico)
    assert_only_permitted_changes(before, after)
    if not sentence:
        kept = {key: found for key, found in after.items() if key in original or key[3] != ENDPOINT}
        assert_only_permitted_changes(original, kept)
        assert_services_work(calico)
        if values(mutated, fields) == values(true_lock, fields):
            assert calico.settings() == as_before, "what is beyond the fields of a switch does not count"
