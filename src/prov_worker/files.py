"""Atomic file writes: write to a temporary file, then rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prov_worker.errors import InputError


def refuse_overwrite(target: Path, *, overwrite: bool, own: bytes | None = None) -> None:
    """Refuse, before any work is done, to replace what somebody may want to keep.

    Args:
        target: a file to write; an empty one, a device and a pipe hold nothing to keep.
        overwrite: replace any file.
        own: a file that has this within its first kilobyte was written by us, and is replaced.

    Raises:
        InputError: the target is there, or is a directory, or there is no directory for it.
    """
    _check(target)
    if overwrite or not target.is_file() or not target.stat().st_size:
        return
    if own is not None:
        with suppress(OSError), target.open("rb") as stream:
            if own in stream.read(1024):
                return
    raise InputError(f"{target}: is there already; give another name, or --overwrite to replace it")


def _check(target: Path) -> None:
    if target.is_dir():
        raise InputError(f"{target}: is a directory; name a file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: cannot be written: {target.parent} is no directory")


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A path to write to, which gets the name of the target at the end; nothing is left there after an error.

    A link is followed, as other programs do. A device or a pipe is written to: it is not there to be replaced.

    Raises:
        InputError: the target is a directory, or cannot be written; it is named.
    """
    _check(target)
    final = target.resolve() if target.is_symlink() else target
    path = final.with_name(f".{final.name}.{os.getpid()}.part")
    # Asked of the target: what /dev/stdout leads to may be a pipe, which has no path of its own.
    special = target.exists() and not target.is_file()
    try:
        if special:
            yield target
        else:
            yield path
            os.replace(path, final)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # most often it is not there any more
            path.unlink()
