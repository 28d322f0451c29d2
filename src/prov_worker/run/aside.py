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

    Raises:
        InputError: the target is a directory, or cannot be written; it is named.
    """
    if target.is_dir():
        raise InputError(f"{target}: is a directory; name a file")
    path = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield path
        os.replace(path, target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # most often it is not there any more
            path.unlink()
