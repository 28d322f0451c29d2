"""Files: what the metadata says of them, and what they are."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_FILE_BYTES
from prov_worker.crate.graph import Entity, content_size, types_of
from prov_worker.crate.identifiers import leads_outside, local_path
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.sources import Source, digest
from prov_worker.crate.violations import ERROR, WARNING, Violation
from prov_worker.errors import CrateError
from prov_worker.humanize import plural


def files(crate: Checked) -> Iterator[Violation]:
    """Compare the files of a crate with its metadata: present, size, sha256; warn of files that it does not list.

    The files of a folder that is listed as a Dataset need no entities (RO-Crate 1.1, Directory File Entity).
    """
    listed = {v.METADATA_FILE, v.PREVIEW_FILE}
    named: dict[str, str] = {}
    folders: set[str] = set()
    for entity in crate.graph:
        identifier, types = entity["@id"], types_of(entity)
        path = local_path(identifier)
        if path is None:
            continue
        if not {"File", "Dataset"}.intersection(types):
            named[path] = " and ".join(types)
            continue
        if leads_outside(path):
            yield Violation(ERROR, "outside", identifier, "a file of a crate lies inside it")
        elif "File" in types:
            listed.add(path)
            yield from _file(crate.source, path, entity)
        else:
            folders.add(path)
    for name in crate.source.names():
        if name not in listed and folders.isdisjoint(_above(name)):
            kind = named.get(name)
            how = "does not list this file" if kind is None else f"lists it as {kind}, and not as File"
            yield Violation(WARNING, "unlisted", name, f"the crate {how}")


def _above(name: str) -> Iterator[str]:
    """Yield the folders above a file; not the crate itself, which its root always lists."""
    while name := name.rpartition("/")[0]:
        yield name


def _file(source: Source, relative: str, entity: Entity) -> Iterator[Violation]:
    identifier = entity["@id"]
    stated = entity.get("contentSize")
    try:
        size = source.size(relative)
        # Not read for nothing: another size says enough, and what is too large may be a hole without end.
        same = (stated is None or content_size(entity) == size) and size <= MAX_FILE_BYTES
        sha256 = digest(source, relative)[0] if same else None
    except CrateError as error:
        yield Violation(ERROR, "missing-file", identifier, error.reason)
        return
    if size > MAX_FILE_BYTES:
        message = f"{plural(size, 'byte')}, more than the {MAX_FILE_BYTES:,} that a file may have; not read"
        yield Violation(ERROR, "too-large", identifier, message)
    if stated is not None and content_size(entity) != size:
        message = f"the crate says {stated!r}, the file has {plural(size, 'byte')}"
        yield Violation(ERROR, "content-size", f"{identifier}.contentSize", message)
    elif stated is not None and not isinstance(stated, str):
        yield Violation(
            WARNING, "content-size", f"{identifier}.contentSize", "a number; RO-Crate 1.1 has a text of digits"
        )
    if "sha256" in entity and sha256 is not None and entity["sha256"] != sha256:
        message = f"the crate says {entity['sha256']}, the file has {sha256}"
        yield Violation(ERROR, "sha256", f"{identifier}.sha256", message)


RULES.add("files", files)
