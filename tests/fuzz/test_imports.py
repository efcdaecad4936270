"""Files of other tools, damaged: measurements within bounds, or a sentence."""

import gzip
from random import Random
from typing import Any, Final

import yaml

from analysis.store.files.arrow import to_table
from steps.imports.content import Content
from steps.imports.places import ImportPlace
from steps.imports.readers import formats
from steps.imports.rows import ReadFile, run_rows
from steps.imports.sides import ImportedName
from steps.tools.failure import Failure
from tests.fuzz import inputs, mutations
from tests.fuzz.test_iperf3 import DOCUMENTS, one_sentence
from tests.steps.imports import written

PATH: Final = ImportedName("p", "p")
REPORTS: Final[dict[str, Any]] = {
    "knb": written.knb_report(),
    "k8s-netperf": [written.netperf(), written.netperf(profile="TCP_RR", tputMetric="OP/s")],
    "older udp": written.old_udp(),
    "older both": written.old_both(),
}


def check(data: bytes) -> str:
    """What came of a file; whatever is read of it can be stored."""
    found = formats.read(data)
    if isinstance(found, Failure):
        one_sentence(found)
        return "refused"
    assert isinstance(found, Content)
    paths = tuple(PATH for _ in found.trials)
    tables = run_rows(
        "a",
        "",
        [ReadFile("f", "0" * 64, ImportPlace(), found, ImportedName("a", "a"), paths)],
        found.faults,
        label="",
        order=(),
    )
    for name, rows in tables.items():
        to_table(name, "imported_a_all", rows)
    return "failed" if all(trial.error for trial in found.trials) else "read"


def try_document(random: Random) -> tuple[str, str]:
    if random.random() < 0.5:
        kind, text = mutations.mutated(random, DOCUMENTS[random.choice(list(DOCUMENTS))])
    else:
        kind, text = mutations.mutated(random, REPORTS[random.choice(list(REPORTS))])
    return kind, check(text)


def try_data_file(random: Random) -> tuple[str, str]:
    """A data file of knb with one text changed, or the archive itself."""
    texts = written.knb_texts()
    name = random.choice(list(texts))
    kind = random.choice(("bytes of a member", "a member gone", "bytes of the archive", "bytes of the packed file"))
    match kind:
        case "bytes of a member":
            texts[name] = _changed(random, texts[name].encode()).decode(errors="replace")
        case "a member gone":
            del texts[name]
        case "bytes of the archive":
            return kind, check(gzip.compress(_changed(random, gzip.decompress(written.knbdata(texts)))))
        case _:
            return kind, check(_changed(random, written.knbdata(texts)))
    return kind, check(written.knbdata(texts))


def try_text(random: Random) -> tuple[str, str]:
    """A CSV, or a report as YAML."""
    kind = random.choice(("csv", "yaml"))
    text = written.NETPERF_CSV if kind == "csv" else yaml.safe_dump(written.knb_report(), sort_keys=False)
    return kind, check(_changed(random, text.encode()))


def _changed(random: Random, data: bytes) -> bytes:
    """The bytes with a few changed, or cut short."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed[: random.randrange(len(changed))] if random.random() < 0.1 else changed)


def test_documents_of_other_tools() -> None:
    counts = inputs.run("documents to import", try_document, ci=1500)
    assert {kind for kind, _ in counts} == set(mutations.KINDS)
    assert {end for _, end in counts} == {"read", "failed", "refused"}


def test_data_files_of_knb() -> None:
    counts = inputs.run("data files of knb", try_data_file, ci=400)
    assert {end for _, end in counts} >= {"read", "refused"}


def test_texts_of_other_tools() -> None:
    counts = inputs.run("texts to import", try_text, ci=400)
    assert all(counts[kind, end] for kind in ("csv", "yaml") for end in ("read", "refused"))
