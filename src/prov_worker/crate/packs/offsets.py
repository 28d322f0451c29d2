"""The file beside a growing pack: who writes it, and up to which byte it is complete.

Its first line is ``prov_worker pack 1 <host>~<place>~<pid>~<start>``, each further one the number of bytes at which a
crate ends, appended after the crate. A last line without its end is being written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from prov_worker.crate.packs.format import MARK, OFFSETS, PART, VERSION
from prov_worker.errors import CrateError
from prov_worker.files import read_regular

_HEAD = re.compile(rf"{re.escape(MARK)}(\d+) (.*)".encode())
#: Crates of one pack, as bytes of this file; far more than a writer appends.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Offsets:
    """What the file says.

    Attributes:
        writer: of the pack, as :func:`prov_worker.crate.staging.writer_name` names a process.
        end: bytes of the pack that are complete.
    """

    writer: str
    end: int


def offsets_path(part: Path) -> Path:
    """Return the path of the file of a growing pack."""
    return part.with_name(part.name.removesuffix(PART) + OFFSETS)


def head_line(writer: str) -> bytes:
    """Return the first line for a writer."""
    return f"{MARK}{VERSION} {writer}\n".encode()


def read_offsets(part: Path) -> Offsets:
    """Return what the file beside a growing pack says.

    Raises:
        FileNotFoundError: there is none.
        CrateError: it is torn, of another version, or cannot be read.
    """
    path = offsets_path(part)
    try:
        data = read_regular(path, _MOST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CrateError(path, f"cannot be read: {os.strerror(error.errno or 0)}") from None
    head, *lines = data.split(b"\n")[:-1] or [b""]
    match = _HEAD.fullmatch(head)
    if match is None:
        raise CrateError(path, "torn: its first line is not that of a pack; `prov-worker recover` makes the pack whole")
    if int(match[1]) != VERSION:
        raise other_version(path, match[1].decode())
    if not lines:
        return Offsets(match[2].decode(errors="replace"), 0)
    before = lines[-2] if len(lines) > 1 else b"0"
    if not (lines[-1].isdigit() and before.isdigit() and int(before) < int(lines[-1])):
        number = len(lines) + 1
        raise CrateError(path, f"torn: line {number} is not an offset; `prov-worker recover` makes the pack whole")
    return Offsets(match[2].decode(errors="replace"), int(lines[-1]))


def other_version(path: Path, version: str) -> CrateError:
    """Return the error of a pack that another release wrote."""
    return CrateError(path, f"a pack of version {version}; this release reads version {VERSION}")
