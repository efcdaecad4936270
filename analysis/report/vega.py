"""Vega, Vega-Lite and Vega-Embed for the interactive report, as one packed script beside this module.

vl-convert bundles it; that takes more than a second and much memory, so the result is committed.

python -m analysis.report.vega          write it
python -m analysis.report.vega --check  exit 1 if it is not that of the installed vl-convert
"""

import argparse
import gzip
import sys
from typing import Final

import vl_convert

from analysis.console.terminal import printing
from analysis.report.interactive import VEGA

_SNIPPET: Final = "globalThis.vegaEmbed = vegaEmbed;"


def bundle() -> str:
    """The script; it defines `vegaEmbed`."""
    text: str = vl_convert.javascript_bundle(_SNIPPET)
    return text


def main() -> int:
    """Write the file, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    made = bundle().encode()
    if not parser.parse_args().check:
        VEGA.write_bytes(gzip.compress(made, mtime=0))
        sys.stdout.write(f"{VEGA}\n")
        return 0
    if VEGA.exists() and gzip.decompress(VEGA.read_bytes()) == made:
        return 0
    sys.stderr.write(f"{VEGA} is not that of the installed vl-convert: type `make manifests`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(printing(main))
