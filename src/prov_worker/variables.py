"""Environment variables that have a new name: the old one works for one release, with a warning."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

_warned: set[str] = set()


def read_renamed(new: str, old: str, environ: MutableMapping[str, str] | None = None) -> str:
    """Return the value of a variable, else that of its old name; "" if neither is set.

    Warns on standard error, once per process and old name, if the old name gives the value.
    """
    environ = os.environ if environ is None else environ
    value = environ.get(new, "")
    if value or not environ.get(old):
        return value
    warn_of_renamed(old, new)
    return environ[old]


def warn_of_renamed(old: str, new: str) -> None:
    """Warn on standard error, once per process and old name, that a variable has a new name."""
    if old not in _warned:
        _warned.add(old)
        sys.stderr.write(f"{renamed_message(old, new)}\n")


def renamed_message(old: str, new: str) -> str:
    """Return the warning about an old name, of a variable, option or command: one line."""
    return f"prov-worker: {old} is now {new}; the old name works in this release only"


def take_renamed(renamed: dict[str, str], environ: MutableMapping[str, str] | None = None) -> None:
    """Set new names, if they are not set, to the values of old ones, as :func:`read_renamed` returns them.

    Args:
        renamed: old name to new name.
        environ: that of this process by default.
    """
    environ = os.environ if environ is None else environ
    for old, new in renamed.items():
        value = read_renamed(new, old, environ)
        if value:
            environ[new] = value
