"""Which fields a dataplane asks for, and in which order a cluster gets from one state to another. Pure.

The one order serves switching and restoring alike, since what goes wrong is the same: kube-proxy must be parked before
Felix takes its rules away, may come back only when Felix has let go of them, and has to be started anew for its mode.
"""

from collections.abc import Mapping
from typing import Any, Final

from steps.catalogue.dataplanes import AS_IS
from steps.cluster.kube.api import fields
from steps.cluster.kube.api.fields import OURS, WHOLE, Field, Ref, State, Value, read_field
from steps.cluster.kube.api.permissions import (
    CONFIGMAPS,
    DAEMONSETS,
    DEFAULT,
    INSTALLATIONS,
    KUBE_PROXY,
    KUBE_SYSTEM,
    SERVICES_ENDPOINT,
    TIGERA_OPERATOR,
    felix_configurations,
)
from steps.cluster.kube.calico import kube_proxy
from steps.cluster.kube.calico.actions import Action, AwaitRollout, Condition, Create, Delete, RestartKubeProxy, Write
from steps.cluster.kube.calico.dataplanes import further_fields, load
from steps.cluster.kube.calico.facts import Facts
from steps.cluster.kube.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE, Implementation
from steps.cluster.kube.calico.objects import SWITCHED

Object = dict[str, Any]

PROXY: Final = Ref(DAEMONSETS, KUBE_PROXY, KUBE_SYSTEM)
PROXY_CONFIG: Final = Ref(CONFIGMAPS, KUBE_PROXY, KUBE_SYSTEM)
INSTALLATION: Final = Ref(INSTALLATIONS, DEFAULT)
PARKING: Final = Field(PROXY, kube_proxy.PARKING_PATH)
LINUX_DATAPLANE: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "linuxDataplane"))
BOOTSTRAP: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "bpfNetworkBootstrap"))
MANAGEMENT: Final = Field(INSTALLATION, ("spec", "calicoNetwork", "kubeProxyManagement"))
_BESIDE_THE_OPERATOR: Final = (SERVICE_MODE, *further_fields())
"""The fields of FelixConfiguration that are set by hand where the operator sets the others."""


def endpoint(facts: Facts) -> Field:
    """The ConfigMap that tells Felix the API server's address without a Service; where depends on the install."""
    place = TIGERA_OPERATOR if facts.install == "operator" else KUBE_SYSTEM
    return Field(Ref(CONFIGMAPS, SERVICES_ENDPOINT, place), WHOLE)


def touchable(facts: Facts) -> tuple[Field, ...]:
    """Every field that a switch of this cluster may set; what is restored is these and no others."""
    if facts.group is None or facts.install is None:
        return ()
    felix = Ref(felix_configurations(facts.group), DEFAULT)
    config = (Field(PROXY_CONFIG, ("data", facts.kube_proxy_config_key)),) if facts.kube_proxy_config_key else ()
    beside = tuple(Field(felix, ("spec", name)) for name in _BESIDE_THE_OPERATOR)
    if facts.install == "operator" and facts.bootstraps:
        return (LINUX_DATAPLANE, BOOTSTRAP, MANAGEMENT, *beside, *config)
    proxy = (PARKING,) if facts.kube_proxy is not None else ()
    if facts.install == "operator":
        return (LINUX_DATAPLANE, *beside, *config, *proxy, endpoint(facts))
    own = tuple(Field(felix, ("spec", name)) for name in SWITCHED)
    return (*own, *config, *proxy, endpoint(facts))


def snapshotted(objects: Mapping[Ref, Object | None], config_key: str | None = None) -> tuple[Field, ...]:
    """The fields that were touchable when these objects were kept, whatever can be touched now.

    The kinds of objects in a snapshot say how Calico was installed then.

    Args:
        objects: that were kept.
        config_key: under which kube-proxy's configuration lay, if the snapshot says so.
    """
    operator = INSTALLATION in objects
    alone = not any(ref.name == SERVICES_ENDPOINT for ref in objects)
    found: list[Field] = []
    for ref, kept in objects.items():
        if ref == INSTALLATION:
            found += [LINUX_DATAPLANE, *((BOOTSTRAP, MANAGEMENT) if alone else ())]
        elif ref == PROXY:
            found.append(PARKING)
        elif ref == PROXY_CONFIG:
            key = config_key or kube_proxy.config_key(kept)
            found += [Field(ref, ("data", key))] if key else []
        elif ref.name == SERVICES_ENDPOINT:
            found.append(Field(ref, WHOLE))
        else:
            names = _BESIDE_THE_OPERATOR if operator else SWITCHED
            found += [Field(ref, ("spec", name)) for name in names]
    return tuple(found)


def unreadable(original: State, kept: Mapping[Ref, Object | None], now: Mapping[Ref, Object | None]) -> list[str]:
    """Why some fields can't be compared with what they held: a sentence for each.

    Args:
        original: what the fields held.
        kept: the objects that the snapshot holds.
        now: the same objects as they are; None: absent.
    """
    reasons = []
    for field in original:
        found = now.get(field.ref)
        if field.path != WHOLE and found is None and kept.get(field.ref) is not None:
            reasons.append(f"{field.ref} is not there, and held {'.'.join(field.path)}")
    return list(dict.fromkeys(reasons))


def state(objects: Mapping[Ref, Object | None], wanted: tuple[Field, ...]) -> dict[Field, Value]:
    """What these fields hold in these objects."""
    return {field: read_field(objects.get(field.ref), field.path) for field in wanted}


def target(
    dataplane: str, facts: Facts, current: State, original: State, api_server: tuple[str, str] | None
) -> dict[Field, Value]:
    """The fields that the dataplane asks for and that don't say so yet, and what they should hold.

    A field that has the effect already is left alone, so that asking twice changes nothing, and so that a cluster on
    which nothing needs to be set has nothing to be restored.

    Args:
        dataplane: of the catalogue, without label; as-is asks for nothing.
        facts: of the cluster.
        current: what the touchable fields hold.
        original: what they held before the run.
        api_server: its address and port, for clusters whose kube-proxy will be parked.

    Raises:
        Unsupported: nothing here says how Calico is switched to it.
    """
    if dataplane == AS_IS or not touchable(facts):
        return {}
    how = load(dataplane)
    wanted = _calico(how, facts, current, original)
    for field, value in current.items():
        if field.ref == PROXY_CONFIG:
            wanted[field] = _config(str(value), str(original.get(field) or value), nftables=how.nftables)
        elif field == PARKING:
            wanted[field] = _parking(facts, original, bpf=how.bpf)
        elif field.path == WHOLE and how.bpf and value is None and api_server is not None:
            wanted[field] = _endpoint_body(api_server)
    return {field: value for field, value in wanted.items() if current.get(field) != value}


def restored(original: State, current: State) -> dict[Field, Value]:
    """What every field held before the run; kube-proxy's configuration keeps what others changed in it."""
    wanted = dict(original)
    for field, text in original.items():
        now = current.get(field)
        if field.ref == PROXY_CONFIG and isinstance(text, str) and isinstance(now, str):
            wanted[field] = kube_proxy.restore_mode(text, now)
        if field.path[-1:] == (NFTABLES_MODE,) and text is None and now == "Auto":
            wanted[field] = now  # the API server's default, which it fills in for what is absent
        if field.path == WHOLE and now is not None and (text is not None or not _is_ours(now)):
            wanted[field] = now
    return wanted


def order(current: State, wanted: State, facts: Facts, *, stale: bool, over: bool = False) -> list[Action]:
    """The steps from one state to another; none if it is there.

    Args:
        current: what the touchable fields hold.
        wanted: what some of them should.
        facts: of the cluster.
        stale: kube-proxy has pods that are older than its configuration: a switch was cut short.
        over: nothing comes after this, so that kube-proxy must be back even where only an earlier call brought it back.
    """
    changes = fields.field_differences(current, wanted)
    proxy = facts.kube_proxy
    parked = bool(proxy is not None and kube_proxy.is_parked(proxy))
    config = {f: v for f, v in changes.items() if f.ref == PROXY_CONFIG}
    calico = {f: v for f, v in changes.items() if f.ref not in {PROXY, PROXY_CONFIG} and f.path != WHOLE}
    whole = [f for f in changes if f.path == WHOLE]
    restart: list[Action] = [RestartKubeProxy(), AwaitRollout("kube-proxy rolled out")] if config or stale else []
    steps: list[Action] = []
    if _bpf({**current, **changes}):
        steps += _writes(config, current)
        steps += [] if parked or proxy is None else restart
        steps += _endpoints(whole, changes, made=True)
        if changes.get(PARKING) is not None:
            steps += _writes({PARKING: changes[PARKING]}, current)
        if {**current, **changes}.get(PARKING) is not None and (PARKING in changes or calico):
            steps += [AwaitRollout("kube-proxy parked")]
        steps += _writes(calico, current) + _available(calico, facts)
        if PARKING in changes and changes[PARKING] is None:
            steps += [*_writes({PARKING: None}, current), AwaitRollout("kube-proxy rolled out")]
        return steps + _endpoints(whole, changes, made=False)
    management = {MANAGEMENT: calico.pop(MANAGEMENT)} if MANAGEMENT in calico else {}
    steps += _writes(calico, current) + _available(calico, facts)
    steps += _writes(config, current)
    if PARKING in changes:
        back: list[Action] = [AwaitRollout("Felix off eBPF")] if changes[PARKING] is None else []
        until: Condition = "kube-proxy rolled out" if changes[PARKING] is None else "kube-proxy parked"
        steps += [*back, *_writes({PARKING: changes[PARKING]}, current), AwaitRollout(until)]
    elif not parked and proxy is not None:
        steps += restart
    if management:
        # the operator brings kube-proxy back only while it manages it
        steps += [AwaitRollout("kube-proxy rolled out"), *_writes(management, current)]
    if (
        over
        and proxy is not None
        and not kube_proxy.stands_still(proxy)
        and AwaitRollout("kube-proxy rolled out") not in steps
    ):
        steps.append(AwaitRollout("kube-proxy rolled out"))
    return steps + _endpoints(whole, changes, made=True) + _endpoints(whole, changes, made=False)


def _calico(how: Implementation, facts: Facts, current: State, original: State) -> dict[Field, Value]:
    bpf = how.bpf
    wanted: dict[Field, Value] = {}
    for field, value in current.items():
        name = field.path[-1] if field.path else ""
        if name == BPF:
            wanted[field] = value if bool(value) == bpf else bpf
        elif name == SERVICE_MODE:
            wanted[field] = _service_mode(value, direct_return=how.direct_return)
        elif name == NFTABLES_MODE and facts.knows_nftables:
            wanted[field] = _nftables_mode(value, original.get(field), facts, nftables=how.nftables)
        elif field == LINUX_DATAPLANE:
            wanted[field] = value if (value or "Iptables") == how.linux_dataplane else how.linux_dataplane
        elif name in further_fields():
            wanted[field] = how.felix.get(name, original.get(field))
        elif field == BOOTSTRAP:
            wanted[field] = "Enabled" if bpf else None if value == "Enabled" else value
        elif field == MANAGEMENT:
            wanted[field] = "Enabled" if bpf else value
    return wanted


def _service_mode(value: Value, *, direct_return: bool) -> Value:
    dsr = str(value or "").upper() == "DSR"
    if direct_return:
        return value if dsr else "DSR"
    # the way back is the value and not its removal, and only eBPF needs it
    return "Tunnel" if dsr else value


def _nftables_mode(value: Value, original: Value, facts: Facts, *, nftables: bool) -> Value:
    follows = {"Auto", None} if facts.nftables_follows_kube_proxy else set()
    fit = {"Enabled", *follows} if nftables else {"Disabled", None, *follows}
    if value in fit:
        return value
    if original in fit:
        return original
    if nftables:
        return "Auto" if facts.nftables_follows_kube_proxy else "Enabled"
    return "Disabled"


def _config(current: str, original: str, *, nftables: bool) -> str:
    def fits(text: str) -> bool:
        return (kube_proxy.mode(text) == "nftables") == nftables

    if fits(current):
        return current
    if fits(original):
        return kube_proxy.restore_mode(original, current)
    return kube_proxy.with_mode(current, "nftables" if nftables else kube_proxy.DEFAULT_MODE)


def _parking(facts: Facts, original: State, *, bpf: bool) -> Value:
    if not bpf:
        return None
    runs_beside = _bpf(original) and original.get(PARKING) is None and facts.kube_proxy is not None
    return original.get(PARKING) if runs_beside else kube_proxy.PARKING_VALUE


def _is_ours(found: Value) -> bool:
    labels = read_field(found, ("metadata", "labels")) if isinstance(found, dict) else None
    return isinstance(labels, dict) and OURS.items() <= labels.items()


def _bpf(values: State) -> bool:
    return any(
        (field.path[-1:] == (BPF,) and bool(value)) or (field == LINUX_DATAPLANE and value == "BPF")
        for field, value in values.items()
    )


def _writes(changes: Mapping[Field, Value], current: State) -> list[Action]:
    return [
        Write(ref, values, {path: current.get(Field(ref, path)) for path in values})
        for ref, values in fields.by_object(changes).items()
    ]


def _available(calico: Mapping[Field, Value], facts: Facts) -> list[Action]:
    return [AwaitRollout("Calico available")] if facts.install == "operator" and calico else []


def _endpoints(whole: list[Field], changes: Mapping[Field, Value], *, made: bool) -> list[Action]:
    steps: list[Action] = []
    for field in whole:
        body = changes[field]
        if made and isinstance(body, dict):
            steps.append(Create(field.ref, body))
        elif not made and body is None:
            steps.append(Delete(field.ref))
    return steps


def _endpoint_body(api_server: tuple[str, str]) -> Object:
    host, port = api_server
    return {
        "metadata": {"name": SERVICES_ENDPOINT, "labels": dict(OURS)},
        "data": {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
    }
