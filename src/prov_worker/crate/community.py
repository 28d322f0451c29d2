"""A crate as an object of the community's library, ro-crate-py (https://pypi.org/project/rocrate/)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import check_names, open_zip
from prov_worker.errors import CrateError, InputError, MissingExtraError

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate


def open_crate(path: Path | str) -> ROCrate:
    """Open a step crate or a run crate, a directory or a zip of one, with ro-crate-py.

    Args:
        path: of the crate. A zip is unpacked into a temporary directory, which is removed when Python ends.

    Returns:
        A ``rocrate.rocrate.ROCrate`` of the version that the crate states. The library itself forgets contexts beside
        RO-Crate's own; here they are kept, so that a crate that is written again still defines all its terms.

    Raises:
        InputError: there is no such path, or the library is missing.
        CrateError: it is not a crate, or a zip that is refused.
    """
    path = Path(path)
    try:
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs ro-crate-py", "crate", error) from None
    if not path.exists():
        raise InputError(f"{path}: no such crate")
    if path.is_file():
        _refuse_harmful(path)
    try:
        crate = ROCrate(path)
        document = json.loads((Path(crate.source) / v.METADATA_FILE).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        raise CrateError(path, f"cannot be read as RO-Crate: {error}", v.METADATA_FILE) from None
    contexts = document["@context"] if isinstance(document["@context"], list) else [document["@context"]]
    for context in contexts:
        if isinstance(context, dict):
            crate.metadata.extra_terms.update(context)
        elif not str(context).startswith(v.CRATE_PROFILES):
            crate.metadata.extra_contexts.append(context)
    return crate


def _refuse_harmful(path: Path) -> None:
    with open_zip(path) as archive:
        check_names(path, archive)
