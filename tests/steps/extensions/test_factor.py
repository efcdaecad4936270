"""docs/extending.md is true for a factor."""

import re
import textwrap

from tests.steps.extensions.copy import CHOSEN, GUIDE, Copy

FIELD = re.compile(r"among the fields of `Scale`:\n\n((?: {4}.*\n)+)")


def test_factor_is_one_field_one_column_and_a_module(copied: Copy) -> None:
    copied.follow("A factor")
    (field,) = FIELD.findall(GUIDE)
    copied.insert("steps/catalogue/factors.py", "    ] = 0.0\n", textwrap.indent(textwrap.dedent(field), "    "))
    found = copied.run(
        CHOSEN
        + """
from analysis.store.files.arrow import to_table
from steps.catalogue import options
from steps.cluster.lab import factors
from steps.settings import turn_order
settings = choose_settings(profile="smoke", options="mtu=1450,1000 services=0,1 seed=1")
visit = make_schedule(settings)[0]
print(json.dumps({
    "option": options.BY_NAME["mtu"].values,
    "scales": sorted(scale.words_of(["services", "pod_mtu_bytes"]) for scale in settings.scales),
    "plan": sorted({trial.scale.pod_mtu_bytes for trial in visit.trials}),
    "step": turn_order.has_scale_step(visit),
    "row": to_table("trials", "run-1", [{"trial": 1, **visit.trials[0].scale.columns}]).to_pylist()[0]["pod_mtu_bytes"],
    "lab": sorted(factors.implemented()),
    "method": options.method(json.loads(settings.model_dump_json()))
    == options.method(json.loads(choose_settings(profile="smoke", options="seed=1").model_dump_json())),
}))
"""
    )
    assert found["option"].startswith("one or more of 576 to 1450, such as 576,1450")
    assert found["scales"] == [f"services={number} mtu={mtu}" for number in (0, 1) for mtu in (1000, 1450)]
    assert found["plan"] == [1000, 1450]
    assert found["row"] in found["plan"]
    assert found["step"]
    assert "mtu" in found["lab"]
    assert found["method"], "nights with other values are compared at the scales that they share"


def test_lab_refuses_a_factor_that_it_can_not_make(copied: Copy) -> None:
    copied.follow("A factor", files=False)
    (field,) = FIELD.findall(GUIDE)
    copied.insert("steps/catalogue/factors.py", "    ] = 0.0\n", textwrap.indent(textwrap.dedent(field), "    "))
    refused = copied.run(
        CHOSEN
        + """
from steps.cluster.lab.adapter import LabCluster
def found(options):
    findings = LabCluster().preflight(choose_settings(profile="smoke", options=options))
    return [f.sentence for f in findings if f.subject == "mtu"]
print(json.dumps([found("mtu=1000 seed=1"), found("mtu=1450 seed=1")]))
"""
    )
    (sentence,), nothing = refused
    assert "nothing in the lab makes this factor" in sentence
    assert nothing == []
