"""The field values that a dataplane needs, and those that a restore puts back. Pure."""

import contextlib

from steps.cluster.kube.api.fields import OURS, WHOLE, Field, FieldValues, Value, field_differences, read_field
from steps.cluster.kube.api.objects import Object
from steps.cluster.kube.api.permissions import SERVICES_ENDPOINT
from steps.cluster.kube.config.text import TextError
from steps.cluster.kube.plugins.calico.dataplanes import further_fields, load
from steps.cluster.kube.plugins.calico.implementation import BPF, NFTABLES_MODE, SERVICE_MODE, Implementation
from steps.cluster.kube.plugins.calico.inventory import kube_proxy
from steps.cluster.kube.plugins.calico.inventory.facts import Facts
from steps.cluster.kube.plugins.calico.switching import fields


def target(
    dataplane: str, facts: Facts, current: FieldValues, original: FieldValues, api_server: tuple[str, str] | None
) -> dict[Field, Value]:
    """The fields that must change for a dataplane, and their new values.

    A field that has the wanted effect already is not changed, so a repeated switch changes nothing.

    Args:
        dataplane: of the catalogue, without label, and not as-is.
        facts: of the cluster.
        current: the values of the touchable fields.
        original: their values before the run.
        api_server: its address and port, for clusters whose kube-proxy will be parked.

    Raises:
        Unsupported: there is no implementation of the dataplane for Calico.
    """
    how = load(dataplane)
    wanted = _calico(how, facts, current, original)
    for field, value in current.items():
        if fields.is_configuration(field):
            then = str(original.get(field) or value)
            wanted[field] = _config(str(value), then, nftables=how.nftables)
            if wanted[field] != value:
                wanted[fields.DIGEST] = fields.digest(field, then) if wanted[field] != then else None
        elif field == fields.PARKING:
            wanted[field] = _parking(facts, original, bpf=how.bpf)
        elif field.path == WHOLE and how.bpf and value is None and api_server is not None:
            wanted[field] = _endpoint_body(api_server)
    return field_differences(current, wanted)


def restored(original: FieldValues, current: FieldValues) -> dict[Field, Value]:
    """The values from before the run; in kube-proxy's configuration, changes of others are kept."""
    wanted = dict(original)
    for field, value in original.items():
        now = current.get(field)
        if fields.is_configuration(field):
            with contextlib.suppress(TextError):  # kube-proxy can't start from such a text, so the original replaces it
                wanted[field] = kube_proxy.restore_mode(str(value), now if isinstance(now, str) else "")
        if field.path[-1:] == (NFTABLES_MODE,) and value is None and now == "Auto":
            wanted[field] = now  # the API server's default for an absent field
        if field.path == WHOLE and (value is not None or not _is_ours(now)):
            wanted[field] = now  # a switch changes no object of others
    if wanted.get(fields.PARKING) is not None and not fields.runs_ebpf(wanted) and field_differences(current, wanted):
        wanted[fields.PARKING] = None  # without eBPF and kube-proxy nothing would serve Services
    return wanted


def _calico(how: Implementation, facts: Facts, current: FieldValues, original: FieldValues) -> dict[Field, Value]:
    bpf = how.bpf
    wanted: dict[Field, Value] = {}
    for field, value in current.items():
        name = field.path[-1] if field.path else ""
        if name == BPF:
            # where an operator installed Calico, this is the operator's own to write, see `order`
            wanted[field] = value if facts.install == "operator" or bool(value) == bpf else bpf
        elif name == SERVICE_MODE:
            wanted[field] = _service_mode(value, direct_return=how.direct_return)
        elif name == NFTABLES_MODE and facts.knows_nftables:
            wanted[field] = _nftables_mode(value, original.get(field), facts, nftables=how.nftables)
        elif field == fields.LINUX_DATAPLANE:
            wanted[field] = value if (value or "Iptables") == how.linux_dataplane else how.linux_dataplane
        elif name in further_fields():
            wanted[field] = how.felix.get(name, original.get(field))
        elif field == fields.BOOTSTRAP:
            wanted[field] = "Enabled" if bpf else None if value == "Enabled" else value
        elif field == fields.MANAGEMENT:
            wanted[field] = "Enabled" if bpf and facts.kube_proxy is not None else value
    return wanted


def _service_mode(value: Value, *, direct_return: bool) -> Value:
    dsr = str(value or "").upper() == "DSR"
    if direct_return:
        return value if dsr else "DSR"
    # direct return is switched off by this value and not by removing the field
    return "Tunnel" if dsr else value


def _nftables_mode(value: Value, original: Value, facts: Facts, *, nftables: bool) -> Value:
    follows = {"Auto", None} if facts.nftables_follows_kube_proxy else set()
    fit = {"Enabled", *follows} if nftables else {"Disabled", None, *follows}
    for known in (value, original):
        if (known.capitalize() if isinstance(known, str) else known) in fit:
            return known
    if nftables:
        return "Auto" if facts.nftables_follows_kube_proxy else "Enabled"
    return "Disabled"


def _config(current: str, original: str, *, nftables: bool) -> str:
    def fits(text: str) -> bool:
        return (kube_proxy.mode(text) == "nftables") == nftables

    if fits(current):
        return current
    if fits(original):
        with contextlib.suppress(TextError):
            return kube_proxy.restore_mode(original, current)
    return kube_proxy.with_mode(current, "nftables" if nftables else kube_proxy.DEFAULT_MODE)


def _parking(facts: Facts, original: FieldValues, *, bpf: bool) -> Value:
    if not bpf:
        return None
    runs_beside = fields.runs_ebpf(original) and original.get(fields.PARKING) is None and facts.kube_proxy is not None
    return original.get(fields.PARKING) if runs_beside else kube_proxy.PARKING_VALUE


def _is_ours(found: Value) -> bool:
    labels = read_field(found, ("metadata", "labels")) if isinstance(found, dict) else None
    return isinstance(labels, dict) and OURS.items() <= labels.items()


def _endpoint_body(api_server: tuple[str, str]) -> Object:
    host, port = api_server
    return {
        "metadata": {"name": SERVICES_ENDPOINT, "labels": dict(OURS)},
        "data": {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
    }
