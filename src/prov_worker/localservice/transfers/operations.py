"""What is done at once in a collection: list, describe, make, rename.

Source: https://docs.globus.org/api/transfer/file_operations/.
"""

from __future__ import annotations

import datetime
import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prov_worker.localservice.transfers.collections import Collection, PlaceError, text_of

#: Codes of what is not there, or not to be done.
NOT_FOUND, DENIED = "ClientError.NotFound", "PermissionDenied"


def list_directory(collection: Collection, path: str) -> list[dict[str, Any]]:
    """Return what is in a directory.

    Raises:
        PlaceError: there is no such directory.
        OSError: it cannot be read.
    """
    place = collection.locate(path)
    if not place.is_dir():
        raise PlaceError(NOT_FOUND, f"Directory {path!r} not found on endpoint {collection.name}")
    return [_described(child) for child in sorted(place.iterdir())]


def describe(collection: Collection, path: str) -> dict[str, Any]:
    """Return what is known of a file or directory.

    Raises:
        PlaceError: there is none.
    """
    place = collection.locate(path, follow=False)
    if not place.exists() and not place.is_symlink():
        raise PlaceError(NOT_FOUND, f"Path {path!r} not found on endpoint {collection.name}")
    return _described(place)


def make_directory(collection: Collection, path: str) -> bool:
    """Make a directory; returns whether there was none."""
    place = collection.locate(path)
    if place.is_dir():
        return False
    place.mkdir(parents=True)
    return True


def rename(collection: Collection, old: str, new: str) -> None:
    """Rename a file or directory.

    Raises:
        PlaceError: there is none, something has the new name, or it is the whole collection.
    """
    source, target = (collection.locate(path, follow=False) for path in (old, new))
    if not source.exists() and not source.is_symlink():
        raise PlaceError(NOT_FOUND, f"Path {old!r} not found on endpoint {collection.name}")
    if target.exists() or target.is_symlink():
        raise PlaceError("ExternalError.RenameFailed.Exists", f"Path {new!r} already exists on {collection.name}")
    if source == Path(os.path.realpath(collection.root)):
        raise PlaceError(DENIED, f"{old}: the whole of {collection.name} is not renamed")
    source.rename(target)


def _described(place: Path) -> dict[str, Any]:
    own = place.lstat()
    is_link = stat.S_ISLNK(own.st_mode)
    status: os.stat_result | None = own
    if is_link:
        try:
            status = place.stat()
        except OSError:
            status = None
    shown = own if status is None else status
    kind = "dir" if stat.S_ISDIR(shown.st_mode) else "file" if stat.S_ISREG(shown.st_mode) else "other"
    return {
        "DATA_TYPE": "file",
        "name": text_of(place.name) or "/",
        "type": "invalid_symlink" if status is None else kind,
        "size": shown.st_size,
        "last_modified": _time(shown.st_mtime),
        "permissions": f"{stat.S_IMODE(shown.st_mode):04o}",
        "user": _name(pwd.getpwuid, shown.st_uid),
        "group": _name(grp.getgrgid, shown.st_gid),
        "link_target": text_of(os.readlink(place)) if is_link else None,
        "link_last_modified": _time(own.st_mtime) if is_link else None,
        "link_size": own.st_size if is_link else None,
        "link_user": _name(pwd.getpwuid, own.st_uid) if is_link else None,
        "link_group": _name(grp.getgrgid, own.st_gid) if is_link else None,
    }


def _name(look: Callable[[int], Any], number: int) -> str:
    try:
        return str(look(number)[0])
    except KeyError:
        return str(number)


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S+00:00")
