"""Files: what the metadata says of them, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from prov_worker.crate import vocabulary as v
from prov_worker.crate.findings import ERROR, WARNING, Finding
from prov_worker.crate.reader import Entity, types_of
from prov_worker.crate.rules import RULES, Checked, is_absolute
from prov_worker.crate.sources import Source, digest
from prov_worker.errors import CrateError


def files(crate: Checked) -> Iterator[Finding]:
    """Compare the files of a crate with its metadata: present, size, sha256; warn of files that it does not list."""
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
        yield from _file(crate.source, relative, entity)
    for name in crate.source.names():
        if name not in listed:
            yield Finding(WARNING, "unlisted", name, "the crate does not list this file")


def _file(source: Source, relative: str, entity: Entity) -> Iterator[Finding]:
    identifier = entity["@id"]
    try:
        sha256, size = digest(source, relative)
    except CrateError as error:
        yield Finding(ERROR, "missing-file", identifier, error.reason)
        return
    if "contentSize" in entity and entity["contentSize"] != str(size):
        message = f"the crate says {entity['contentSize']!r}, the file has {size} bytes"
        yield Finding(ERROR, "content-size", f"{identifier}.contentSize", message)
    if "sha256" in entity and entity["sha256"] != sha256:
        message = f"the crate says {entity['sha256']}, the file has {sha256}"
        yield Finding(ERROR, "sha256", f"{identifier}.sha256", message)


RULES.add("files", files)
