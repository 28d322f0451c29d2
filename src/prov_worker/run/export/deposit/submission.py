"""What is deposited of a run: what its root says, who made it, and its files as one zip."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import load_graph, reference_ids
from prov_worker.crate.json_text import is_web
from prov_worker.crate.people import UNSTATED
from prov_worker.crate.sources import DirectorySource, is_run
from prov_worker.errors import CrateError, InputError

_ORCID = re.compile(r"https?://orcid\.org/(\d{4}-\d{4}-\d{4}-\d{3}[\dX])\Z")


@dataclass(frozen=True, slots=True)
class Creator:
    """A person: family name, given name (empty if there is none), ORCID."""

    family: str
    given: str = ""
    orcid: str | None = None

    @property
    def name(self) -> str:
        """Family name first."""
        return f"{self.family}, {self.given}" if self.given else self.family

    @classmethod
    def parse(cls, text: str) -> Creator:
        """Return the person of ``Family, Given`` with an ORCID behind it, in parentheses or as an address.

        Raises:
            InputError: there is no family name.
        """
        match = re.fullmatch(r"\s*([^,()]+?)\s*(?:,\s*([^()]+?)\s*)?(?:\((\S+)\))?\s*", text)
        if match is None:
            raise InputError(f"--creator: expected 'Family, Given' or 'Family, Given (ORCID)', got {text!r}")
        orcid = match[3]
        if orcid is not None:
            address = _ORCID.match(orcid if is_web(orcid) else f"https://orcid.org/{orcid}")
            if address is None:
                raise InputError(f"--creator: {orcid!r}: is not an ORCID")
            orcid = address[1]
        return cls(match[1], match[2] or "", orcid)


@dataclass(frozen=True, slots=True)
class Submission:
    """A run, as it is deposited.

    Attributes:
        path: run crate: a directory, or a zip file.
        title, description: of its root.
        published: day, ``YYYY-MM-DD``.
        creators: at least one.
        license: address of the licence; None if none is stated.
        publisher: name of an organisation; None if none is stated.
        files: path in the crate and size, bytes, of each file.
    """

    path: Path
    title: str
    description: str
    published: str
    creators: list[Creator]
    license: str | None = None
    publisher: str | None = None
    files: list[tuple[str, int]] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(size for _, size in self.files)

    @property
    def archive(self) -> str:
        """Name of the zip file: WorkflowHub knows crates by it."""
        name = self.path.absolute().name.removesuffix(v.ZIP_SUFFIX).removesuffix(v.CRATE_SUFFIX)
        return f"{name}{v.CRATE_SUFFIX}{v.ZIP_SUFFIX}"


def submission_of(path: Path, creators: list[Creator]) -> Submission:
    """Return what would be deposited of a run crate.

    Args:
        path: directory of the run crate.
        creators: who made it; empty takes the author that the crate states.

    Raises:
        InputError: it is not a run crate, or states no author.
        CrateError: it cannot be read, or has something in it that is not a regular file.
    """
    if not path.is_dir() or not is_run(path):
        raise InputError(f"{path}: not a run crate; `prov-worker run assemble` makes one, and all of it is deposited")
    source = DirectorySource(path)
    entities = {entity["@id"]: entity for entity in load_graph(source, run=True)}
    root = entities.get("./", {})
    title, day = root.get("name"), str(root.get("datePublished", ""))[:10]
    if not isinstance(title, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day):
        raise CrateError(path / v.METADATA_FILE, "its root has no name, or no datePublished", "./")
    description = root.get("description")
    return Submission(
        path,
        title,
        description if isinstance(description, str) else title,
        day,
        creators or _authors(path, root, entities),
        next((name for name in reference_ids(root.get("license")) if is_web(name)), None),
        _publisher(root, entities),
        sorted(source.files()),
    )


def _authors(path: Path, root: Mapping[str, Any], entities: Mapping[str, Mapping[str, Any]]) -> list[Creator]:
    """Return the stated authors; an account's name is no person's, and nobody is made up of it."""
    creators = []
    for identifier in reference_ids(root.get("author")):
        entity = entities.get(identifier, {})
        orcid = _ORCID.match(identifier)
        family, given, name = (entity.get(key) for key in ("familyName", "givenName", "name"))
        if isinstance(family, str) and family:
            creators.append(Creator(family, given if isinstance(given, str) else "", orcid and orcid[1]))
        elif isinstance(name, str) and not is_web(name) and len(name.split()) > 1 and not name.startswith("uid "):
            first, _, last = name.strip().rpartition(" ")
            before, comma, after = name.partition(",")
            pair = (before.strip(), after.strip()) if comma else (last, first)
            creators.append(Creator(*pair, orcid and orcid[1]))
    if not creators:
        raise InputError(f"{path}: states no author by name; name who made it: --creator 'Family, Given (ORCID)'")
    return creators


def _publisher(root: Mapping[str, Any], entities: Mapping[str, Mapping[str, Any]]) -> str | None:
    for identifier in reference_ids(root.get("publisher")):
        name = entities.get(identifier, {}).get("name")
        if isinstance(name, str) and name != UNSTATED:
            return name
    return None


def write_archive(submission: Submission, target: Path) -> None:
    """Write the crate as one zip file; its files are those that were listed, unchanged.

    Raises:
        OSError: it cannot be read or written.
    """
    with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, _ in submission.files:
            archive.write(submission.path / name, name)
