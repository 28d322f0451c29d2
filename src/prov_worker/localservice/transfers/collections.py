"""Directories that stand for Globus collections."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker import files
from prov_worker.errors import InputError

_MAX_BYTES = 1 << 20
_KEYS = ("id", "path", "name", "identities", "data_access", "high_assurance")
#: Before a name that is no UTF-8 and is written as Latin-1
#: (https://docs.globus.org/api/transfer/file_operations/, "Path Encoding").
_NOT_UTF8 = "\ufffd"


class PlaceError(Exception):
    """A path of a collection that is none, or that there is nothing at; the message says why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Collection:
    """A directory that stands for a collection.

    Attributes:
        id: of the collection.
        root: the directory.
        name: for people.
        identities: client ids of those who may use it; None for all.
        data_access: whether a run needs the consent ``data_access`` for it, as mapped collections ask for.
        high_assurance: whether a run of a flow needs a login since it began.
    """

    id: str
    root: Path
    name: str
    identities: frozenset[str] | None = None
    data_access: bool = False
    high_assurance: bool = False

    def locate(self, path: str, *, follow: bool = True) -> Path:
        """Return the place of a path, which begins at the directory, whatever it begins with.

        Args:
            path: with ``/`` between its parts.
            follow: whether a link at its end is followed.

        Raises:
            PlaceError: it leads out of the directory, by ``..`` or a link.
        """
        parts = [bytes_of(part) for part in path.split("/") if part not in ("", ".")]
        if parts[:1] == ["~"]:  # the home of whoever asks: here the directory itself
            del parts[0]
        if ".." in parts or "\0" in path:
            raise PlaceError("PermissionDenied", f"{path}: leads out of {self.name}")
        root = os.path.realpath(self.root)
        last = parts.pop() if parts and not follow else ""
        place = os.path.join(os.path.realpath(os.path.join(root, *parts)), last).rstrip("/") or "/"
        if place != root and not place.startswith(root.rstrip("/") + "/"):
            raise PlaceError("PermissionDenied", f"{path}: leads out of {self.name}")
        return Path(place)


def bytes_of(name: str) -> str:
    """Return the name that a file has, of one that :func:`text_of` gave."""
    if not name.startswith(_NOT_UTF8):
        return name
    try:
        given = os.fsdecode(name[1:].encode("latin-1"))
    except UnicodeEncodeError:
        return name
    return given if text_of(given) == name else name


def text_of(name: str) -> str:
    """Return the name of a file as it can be sent: one that is no UTF-8 as Latin-1, marked."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return _NOT_UTF8 + os.fsencode(name).decode("latin-1")
    return name


class Collections:
    """The collections of a service, by id."""

    def __init__(self, collections: Mapping[str, Collection] | None = None) -> None:
        self._by_id = dict(collections or {})

    def __iter__(self) -> Iterator[Collection]:
        return iter(self._by_id.values())

    def get(self, collection_id: Any, identity: str) -> Collection:
        """Return a collection that an identity may use.

        Raises:
            PlaceError: there is none, or the identity may not use it: it does not say which.
        """
        collection = self._by_id.get(collection_id) if isinstance(collection_id, str) else None
        if collection is None or (collection.identities is not None and identity not in collection.identities):
            raise PlaceError("EndpointNotFound", f"there is no collection {str(collection_id)[:80]}")
        return collection


def load(path: Path) -> Collections:
    """Return the collections of a file: ``[{"id": UUID, "path": DIR, "name": …, "identities": […]}, …]``.

    Raises:
        InputError: it cannot be read, or an entry is not right; names file and key.
    """
    try:
        entries = json.loads(files.read_regular(path, _MAX_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: invalid JSON: {error}") from None
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of collections")
    collections: dict[str, Collection] = {}
    for number, entry in enumerate(entries):
        collection = _collection(entry, f"{path}: [{number}]")
        if collection.id in collections:
            raise InputError(f"{path}: [{number}].id: {collection.id} is there twice")
        collections[collection.id] = collection
    return Collections(collections)


def _collection(entry: Any, where: str) -> Collection:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object with id and path")
    for key in entry:
        if key not in _KEYS:
            raise InputError(f"{where}.{key}: no such key; known are {', '.join(_KEYS)}")
    collection_id = _uuid(entry.get("id"), f"{where}.id")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise InputError(f"{where}.path: expected the absolute path of a directory")
    if not Path(path).is_dir():
        raise InputError(f"{where}.path: {path}: no such directory")
    name = entry.get("name", path)
    if not isinstance(name, str):
        raise InputError(f"{where}.name: expected a text")
    for key in ("data_access", "high_assurance"):
        if not isinstance(entry.get(key, False), bool):
            raise InputError(f"{where}.{key}: expected true or false")
    identities = entry.get("identities")
    if identities is not None:
        if not isinstance(identities, list):
            raise InputError(f"{where}.identities: expected a list of client ids")
        identities = frozenset(_uuid(member, f"{where}.identities") for member in identities)
    return Collection(
        collection_id,
        Path(path),
        name,
        identities,
        entry.get("data_access", False),
        entry.get("high_assurance", False),
    )


def _uuid(value: Any, where: str) -> str:
    try:
        return str(uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"{where}: expected a UUID") from None
