"""Bills of materials, which crates name by their sha256: beside the crates, or in the run crate that holds them.

The name of a bill is the digest of its content, so that one from anywhere is taken only if it is what was meant.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bill_places import DIRECTORY, bill_directories
from prov_worker.crate.bounds import MAX_BILL_BYTES
from prov_worker.crate.sources.base import Source
from prov_worker.crate.sources.packs import PackSource
from prov_worker.crate.sources.zips import ZipSource, open_zip
from prov_worker.errors import CrateError, InputError
from prov_worker.files import read_regular

_NAME = re.compile(v.BILL_NAME)


def read_bill(source: Source, sha256: str) -> bytes | None:
    """Return the bill of materials that a crate names; None if it is not there, or another one by its content.

    Args:
        source: the crate.
        sha256: as its metadata say.
    """
    name = v.bill_name(sha256)
    if _NAME.fullmatch(name) is None:
        return None
    if isinstance(source, ZipSource) and not isinstance(source, PackSource):
        data = _in_zip(source, name)
        if data is not None and is_bill(name, data):
            return data
    return bill_beside(source.path, sha256)


def bill_beside(crate: Path, sha256: str) -> bytes | None:
    """Return the bill of materials that the crate at a path, or in a pack there, names; None as :func:`read_bill`."""
    name = v.bill_name(sha256)
    for path in _places(crate, name):
        try:
            data = read_regular(path, MAX_BILL_BYTES)
        except OSError:
            continue
        if is_bill(name, data):
            return data
    return None


def is_bill(name: str, data: bytes) -> bool:
    """Return whether content is that of a bill with this file name."""
    match = _NAME.fullmatch(name)
    return match is not None and hashlib.sha256(data).hexdigest() == match["sha256"]


def _places(crate: Path, name: str) -> Iterator[str]:
    """Yield where the bill of a crate may be: beside it, or in its run crate."""
    above = os.path.dirname(os.path.abspath(crate))
    for directory in bill_directories(above):
        yield os.path.join(directory, name)
    if os.path.basename(above) == v.STEPS_DIR:
        yield os.path.join(os.path.dirname(above), v.RUN_SOFTWARE_DIR, name)


def _in_zip(source: ZipSource, name: str) -> bytes | None:
    """Return content of the bill in the zip of a run, or of a directory of crates."""
    above = PurePosixPath(source.prefix).parent
    places = {str(above.parent / v.RUN_SOFTWARE_DIR / name)}
    beside = re.compile(rf"{re.escape(str(above / '_')[:-1])}{DIRECTORY}/{re.escape(name)}")
    try:
        with open_zip(source.path) as archive:
            for place in archive.namelist():
                there = place in places or beside.fullmatch(place) is not None
                if there and archive.getinfo(place).file_size <= MAX_BILL_BYTES:
                    return archive.read(place)
    except (CrateError, InputError, OSError):
        pass
    except Exception:
        return None  # zlib.error, lzma.LZMAError and whatever else a damaged zip provokes
    return None
