"""Where a trigger may keep its state and its crates: in places that are there, and never among what it watches."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.trigger.state import FORMAT, default_path

#: What is made beside a state file, by the end of its name.
_BESIDE = ("", ".lock", ".runs", ".crates")


def matches(name: str, pattern: str) -> bool:
    """Return whether a name is of the pattern (``fnmatch``); a hidden one needs a pattern that begins with a dot."""
    return fnmatch.fnmatchcase(name, pattern) and (name[0] != "." or pattern[:1] == ".")


def check_state(directory: Path, pattern: str, state: Path | None) -> None:
    """Refuse a state file that cannot be one; None is the default. Nothing is written.

    Raises:
        InputError: it is a directory, of something else, in a directory that is not there, or among what is watched.
    """
    if state is not None:
        if state.is_dir():
            raise InputError(f"state {state}: is a directory; name a file")
        if not state.parent.is_dir():
            raise InputError(f"state {state}: there is no directory {state.parent}")
        if not os.access(state if state.exists() else state.parent, os.W_OK):
            raise InputError(f"state {state}: not writable")
        if state.exists() and not _is_state(state):
            raise InputError(f"state {state}: not a trigger's state, or of another release")
    path = default_path(directory) if state is None else state
    for suffix in _BESIDE:
        if _is_watched(directory, pattern, path.with_name(f"{path.name}{suffix}")):
            raise InputError(f"state {path}: {_WATCHED}")


def check_crates(directory: Path, pattern: str, crates: Path) -> None:
    """Refuse a directory for the triggers' crates that cannot be one.

    Raises:
        InputError: it is a file, or among what is watched.
    """
    if os.path.lexists(crates) and not crates.is_dir():
        raise InputError(f"crates {crates}: not a directory")
    if _is_watched(directory, pattern, crates):
        raise InputError(f"crates {crates}: {_WATCHED}")


_WATCHED = (
    "would be taken for one of the folders that are watched; name a place outside, or one that no pattern matches"
)


def _is_watched(directory: Path, pattern: str, path: Path) -> bool:
    """Return whether a path is an entry of the directory that matches the pattern, or below one."""
    here = os.path.realpath(directory)
    real = os.path.join(os.path.realpath(path.parent), path.name)
    below = os.path.relpath(real, here)
    first = below.split(os.sep)[0]
    return first not in (os.pardir, os.curdir) and matches(first, pattern)


def _is_state(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(len(FORMAT) + 100)
    except OSError:
        return False
    return not head or FORMAT.encode() in head.partition(b"\n")[0]
