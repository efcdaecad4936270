"""docs/extending.md is true for a factor."""

import re
import textwrap

from tests.steps.extensions.copy import CHOSEN, GUIDE, Copy

FIELD = re.compile(r"among the fields of `Scale`:\n\n((?: {4}.*\n)+)")
COMPARED = re.compile(r"`(pod_mtu_bytes: int[^`]*)`")
PLACES = {
    "analysis/domain.py": "    churn_per_s: float = 0.0\n",
    "analysis/stats/path_metric.py": "    churn_per_s: float = field(default=0.0, kw_only=True)\n",
    "analysis/summary/run/run_models.py": "    churn_per_s: float\n",
    "workflows/cli/plan_document.py": "    churn_per_s: float\n",
}
"""The fields of the neighbour in what is compared, and in documents."""

COMPARISON = """
import json, tempfile
from contextlib import closing
from pathlib import Path
from analysis.domain import StoredScale
from analysis.sql.database import connect
from analysis.summary.run.summary import summarise
from steps.catalogue.options import method
from tests.analysis.synthetic import Recipe, stored
recipe = Recipe(
    scales=(StoredScale(1000, pod_mtu_bytes=1450), StoredScale(1000, pod_mtu_bytes=1000)),
    slower=lambda name, scale: 1.4 if name == "gamma" and scale.pod_mtu_bytes == 1000 else 1.0,
)
with closing(connect(stored(Path(tempfile.mkdtemp()), recipe))) as con:
    found = summarise(con, recipe.run_id, method)
    scales = con.sql("select distinct scale from visit_means order by 1").fetchall()
    means = con.sql("select distinct trials from visit_means").fetchall()
print(json.dumps({
    "scales": [scale for scale, in scales],
    "trials in a mean": means,
    "paths": sorted({c.path for c in found.comparisons if c.topology == "pod-to-service"}),
    "curves": sorted({c.factor for c in found.curves}),
}))
"""


def add_field(copied: Copy) -> None:
    (field,) = FIELD.findall(GUIDE)
    copied.insert("steps/catalogue/factors.py", "    ] = 0.0\n", textwrap.indent(textwrap.dedent(field), "    "))
    scale, metric, document = (" ".join(text.split()) for text in COMPARED.findall(GUIDE))
    for (path, neighbour), field in zip(PLACES.items(), (scale, metric, document, document), strict=True):
        file = copied.root / path
        text = file.read_text()
        assert neighbour in text
        file.write_text(text.replace(neighbour, f"{neighbour}    {field}\n"))


def test_factor_is_one_field_one_column_and_a_module(copied: Copy) -> None:
    copied.follow("A factor")
    add_field(copied)
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


def test_runs_are_compared_at_each_value_of_a_new_factor(copied: Copy) -> None:
    copied.follow("A factor")
    add_field(copied)
    found = copied.run(COMPARISON)
    assert found["scales"] == ["services=1000", "services=1000 mtu=1000"]
    assert found["trials in a mean"] == [[1]]
    assert any("1 000 bytes of MTU" in path for path in found["paths"])
    assert any("1 450 bytes of MTU" in path for path in found["paths"])
    assert found["curves"] == ["pod_mtu_bytes"]


def test_lab_refuses_a_factor_that_it_can_not_make(copied: Copy) -> None:
    copied.follow("A factor", files=False)
    add_field(copied)
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
