"""Writes a file aside, then renames it: under its name it is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prov_worker.errors import InputError


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A path to write to, which gets the name of the target at the end; nothing is left there after an error.

    A link is followed, as other programs do. A device or a pipe is written to: it is not there to be replaced.

    Raises:
        InputError: the target is a directory, or cannot be written; it is named.
    """
    if target.is_dir():
        raise InputError(f"{target}: is a directory; name a file")
    final = target.resolve() if target.is_symlink() else target
    path = final.with_name(f".{final.name}.{os.getpid()}.part")
    special = final.exists() and not final.is_file()
    try:
        if special:
            yield final
        else:
            final.parent.mkdir(parents=True, exist_ok=True)
            yield path
            os.replace(path, final)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # most often it is not there any more
            path.unlink()
