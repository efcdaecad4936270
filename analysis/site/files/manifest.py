"""The manifest of a site: each file that this program wrote, and the fingerprint of what it was made of.

It is written before the pages, with empty fingerprints for those to come, and after them. So whatever kills a build,
the next one knows each file that may be there, and makes again what may be missing.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from analysis.errors import DamagedFileError, Unsupported
from analysis.site.names import INDEX, PAGE_NAME
from analysis.store.storage.object_storage import ObjectStorage

FILE: Final = "site.json"
_MOST_BYTES: Final = 64 * 2**20
_NAME: Final = re.compile(PAGE_NAME)


def _checked(name: str) -> str:
    """A name that can be a page's. The manifest lies where others may write, and what it names is deleted."""
    if _NAME.fullmatch(name) is None or ".." in name:
        raise ValueError("is no file of a site")
    return name


class Manifest(BaseModel):
    """File -> the fingerprint of what it was made of; empty: it is not known to be whole."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    version: Literal[1] = 1
    pages: dict[Annotated[str, AfterValidator(_checked)], str] = {}


def read(files: ObjectStorage) -> Manifest:
    """The manifest of the site in a folder or bucket; an empty one where there is no site.

    Raises:
        Unsupported: it can't be read, or there are pages of something else.
    """
    try:
        return Manifest.model_validate_json(files.read(FILE, _MOST_BYTES))
    except FileNotFoundError:
        if files.is_there(INDEX):
            raise Unsupported(
                f"{files.address(INDEX)} is no page of this program, which would replace it: choose another SITE, or "
                "delete it"
            ) from None
        return Manifest()
    except (ValidationError, DamagedFileError) as error:
        raise Unsupported(
            f"{files.address(FILE)} can't be read, so that it is unknown which pages are this program's: delete the "
            "site's folder, and write it again"
        ) from error


def write(files: ObjectStorage, manifest: Manifest) -> None:
    """Write the manifest.

    Raises:
        Unsupported: it can't be written.
    """
    files.put(FILE, manifest.model_dump_json(indent=0).encode())
