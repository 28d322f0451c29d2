"""Ids of entities: which lie in the crate, and which of two spellings are one (RFC 3986, RO-Crate 1.1).

An id is a URI reference against the crate's root: a path in the crate (``./data/x`` and ``data/x`` are one, section
5.2.4), ``#name`` for what is not a file of it, or an absolute URI, for which a scheme and a colon are enough (``urn:``,
``doi:``, ``tag:``, ``swh:``, ``ark:``, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from prov_worker.crate import vocabulary as v

ROOT = "./"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
#: In the text of a document without any of these, and with no other ``"./`` than ``"./"``, each id is plain.
_MARKS = (b'"../', b"/./", b"/../", b"\\/", b"\\u002", b'"."')


def is_absolute(identifier: str) -> bool:
    """Return whether an id is an absolute URI, as of what lies outside the crate."""
    return _SCHEME.match(identifier) is not None


@lru_cache(maxsize=1024)
def local_path(identifier: str) -> str | None:
    """Return the path that an id names, relative to the crate, without a slash at its end.

    Returns:
        None for an absolute URI, and for ``#name``. A path that leads outside begins with ``/`` or ``../``.
    """
    if is_absolute(identifier) or identifier.startswith("#"):
        return None
    return unquote(plain(identifier).removeprefix("./")).rstrip("/") or "."


def leads_outside(path: str) -> bool:
    """Return whether a path of :func:`local_path` leads outside the crate."""
    return path.startswith("/") or ".." in path.split("/")


def plain(identifier: str) -> str:
    """Return an id without ``./`` and ``../`` in its path; absolute URIs and ``#name`` as they are.

    The root stays ``./``. A ``./`` stays if what follows would read as an absolute URI (``./a:b``, section 4.2).
    """
    if is_absolute(identifier) or identifier.startswith(("#", "/")) or "." not in identifier:
        return identifier
    path, mark, rest = identifier.partition("#")
    parts: list[str] = []
    *folders, name = path.split("/")
    if name in (".", ".."):
        folders, name = [*folders, name], ""
    for part in folders:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    short = "/".join([*parts, name])
    if not short and not mark:
        return ROOT
    return f"./{short}{mark}{rest}" if is_absolute(short) else f"{short}{mark}{rest}"


def all_plain(data: bytes) -> bool:
    """Return whether no id in the text of a document needs :func:`resolve` for its path; quick."""
    if b"\\" not in data and _has_plain_dots(data):
        return True  # nothing of which a mark is made
    return data.count(b'"./') == data.count(b'"./"') and not any(mark in data for mark in _MARKS)


def _has_plain_dots(data: bytes) -> bool:
    """Return whether each dot behind a quotation mark is of the root's id, and none is behind a slash or a dot."""
    # To split is several times as quick as to look for two bytes of which each is frequent.
    parts = data.split(b".")
    ends = b"".join([part[-1:] for part in parts])
    if len(ends) < len(parts):
        return False  # two dots, or one at the beginning
    marks = ends[:-1]
    if b"/" in marks:
        return False
    at = marks.find(b'"')
    while at >= 0:
        if not parts[at + 1].startswith(b'/"'):
            return False
        at = marks.find(b'"', at + 1)
    return True


def root_of(graph: list[dict[str, Any]]) -> str:
    """Return the id of the crate's root, which the metadata file is about; it may be absolute (RO-Crate 1.1)."""
    root = ROOT
    for entity in graph:
        identifier = entity["@id"]
        if identifier == ROOT:
            return ROOT
        if identifier == v.METADATA_FILE or identifier.endswith("/" + v.METADATA_FILE):
            about = entity.get("about")
            if isinstance(about, Mapping) and isinstance(about.get("@id"), str):
                root = plain(about["@id"])
    return root


def resolve(graph: list[dict[str, Any]], *, paths: bool) -> list[dict[str, Any]]:
    """Return entities with each id and each reference as this package writes it: plain paths, ``./`` for the root.

    Args:
        graph: of entities with text ids; left as it is.
        paths: whether paths may have to be made plain (:func:`all_plain`).
    """
    root = root_of([{**entity, "@id": plain(entity["@id"])} for entity in graph] if paths else graph)
    if root == ROOT and not paths:
        return graph
    metadata = root + v.METADATA_FILE

    def resolved(identifier: str) -> str:
        if identifier == root:
            return ROOT
        if identifier == metadata:
            return v.METADATA_FILE
        return plain(identifier)

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(member) for member in value]
        if isinstance(value, dict):
            return {
                key: resolved(member) if key == "@id" and isinstance(member, str) else walk(member)
                for key, member in value.items()
            }
        return value

    return [walk(entity) for entity in graph]
