"""Files: what the metadata says of them, and what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from prov_worker.crate import vocabulary as v
from prov_worker.crate.findings import ERROR, WARNING, Finding
from prov_worker.crate.reader import Entity, open_regular, types_of
from prov_worker.crate.rules import RULES, Checked, is_absolute
from prov_worker.files import sha256_of


def files(crate: Checked) -> Iterator[Finding]:
    """Compare the files of a crate with its metadata: present, size, sha256; warn of files that it does not list."""
    path = crate.path
    listed = {v.METADATA_FILE}
    for entity in crate.graph:
        identifier = entity["@id"]
        if "File" not in types_of(entity) or is_absolute(identifier):
            continue
        relative = unquote(identifier)
        if relative.startswith("/") or ".." in relative.split("/"):
            yield Finding(ERROR, "outside", identifier, "a file of a crate lies inside it")
            continue
        listed.add(relative)
        yield from _file(path / relative, entity)
    for parent, directories, names in os.walk(path):
        directories.sort()
        for name in sorted(names):
            relative = os.path.relpath(os.path.join(parent, name), path)
            if relative not in listed:
                yield Finding(WARNING, "unlisted", relative, "the crate does not list this file")


def _file(path: Path, entity: Entity) -> Iterator[Finding]:
    identifier = entity["@id"]
    try:
        with open_regular(path) as stream:
            digest, size = sha256_of(stream), stream.tell()
    except OSError as error:
        yield Finding(ERROR, "missing-file", identifier, f"cannot be read: {error.strerror or error}")
        return
    if "contentSize" in entity and entity["contentSize"] != str(size):
        message = f"the crate says {entity['contentSize']!r}, the file has {size} bytes"
        yield Finding(ERROR, "content-size", f"{identifier}.contentSize", message)
    if "sha256" in entity and entity["sha256"] != digest:
        message = f"the crate says {entity['sha256']}, the file has {digest}"
        yield Finding(ERROR, "sha256", f"{identifier}.sha256", message)


RULES.add("files", files)
