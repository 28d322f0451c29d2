"""The bill of materials of an environment: CycloneDX 1.6, once per environment, beside the crates.

Written by hand, as the agent has the standard library alone: https://cyclonedx.org/docs/1.6/json/ is what it follows.
Package URLs are those of https://github.com/package-url/purl-spec (``pypi``). The same environment gives the same
bytes, so that a digest tells one from another.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bill_places import write_bill

log = logging.getLogger(__name__)

_SPECIFICATION = "1.6"
#: Installed files and their digests (``importlib.metadata``, "Recording installed projects" of packaging.python.org).
_RECORD = "RECORD"
_DIRECT_URL = "direct_url.json"
_MAX_RECORD, _MAX_URL = 16 << 20, 1 << 16
_SUFFIX = ".dist-info"
_NOTES = re.compile(r"\.dist-info/(INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_cache\.json),")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_NAME_SPACE = uuid.UUID("6f4b5d0e-6f5d-5a2b-9f0e-3f1c58e2a7d4")


def bill_of_materials(environment: Mapping[str, Any], path: Sequence[str] | None) -> bytes:
    """Return the bill of an environment, as JSON.

    Args:
        environment: what the probe of that name found, with ``distributions``.
        path: directories in which distributions are looked for; None takes those of this interpreter.
    """
    python = environment.get("python") or {}
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{_SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _SPECIFICATION,
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": "python",
                "type": "platform",
                "name": str(python.get("implementation") or "Python"),
                "version": str(python.get("version") or "unknown"),
            }
        },
        "components": [
            *_distributions(environment.get("distributions") or {}, path),
            *_modules(environment.get("loaded_modules") or ()),
            *_container(environment.get("container")),
            *_system(environment.get("os")),
        ],
    }
    text = json.dumps(document, ensure_ascii=False, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAME_SPACE, text)}"
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode("utf-8", "replace")


def keep_bill(crate_dir: str, data: bytes) -> str:
    """Write a bill beside the crates, unless it is there; return its sha256, by which crates name it.

    Raises:
        OSError: it cannot be written.
    """
    digest = hashlib.sha256(data).hexdigest()
    write_bill(crate_dir, v.bill_name(digest), data)
    return digest


def _distributions(versions: Mapping[str, str], path: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """Yield the distributions that the probe found, each with what proves its files."""
    places: dict[tuple[str, str], str] = {}
    for directory in sys.path if path is None else path:
        for information in _information(directory):
            name, _, version = os.path.basename(information).removesuffix(_SUFFIX).partition("-")
            places.setdefault((_plain(name), version), information)
    for name, version in versions.items():
        place = places.get((_plain(name), version))
        record, archive = (None, None) if place is None else (_record_digest(place), _archive_digest(place))
        component: dict[str, Any] = {
            "bom-ref": f"pypi:{name}",
            "type": "library",
            "name": name,
            "version": version,
            "purl": package_url(name, version),
        }
        if archive is not None:
            component["hashes"] = [_sha256(archive)]
        if record is not None:
            component["properties"] = [{"name": "prov-worker:record-sha256", "value": record}]
        yield component


def package_url(name: str, version: str) -> str:
    """Return the package URL of a distribution of the Python Package Index."""
    return f"pkg:pypi/{urllib.parse.quote(_plain(name))}@{urllib.parse.quote(version, safe='')}"


def _plain(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _information(directory: str) -> Iterator[str]:
    """Yield the directories that describe distributions: their names tell name and version (PEP 376, PEP 427)."""
    try:
        with os.scandir(directory) as entries:
            yield from (entry.path for entry in entries if entry.name.endswith(_SUFFIX))
    except OSError:
        return  # a zip file, or nothing at all


def _text(place: str, name: str, limit: int) -> str:
    """Return content of a file about a distribution; empty if there is none, or too much of it."""
    try:
        with open(os.path.join(place, name), encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(limit + 1)
    except OSError:
        return ""
    return text if len(text) <= limit else ""


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _record_digest(place: str) -> str | None:
    """Return the digest of a distribution's modules and data with their digests, which proves each of them."""
    # not those of programs, which have the place of the environment in them, nor what an installer notes of itself
    lines = sorted(
        line
        for line in _text(place, _RECORD, _MAX_RECORD).splitlines()
        if ",sha256=" in line and not line.startswith(("../", "/")) and not _NOTES.search(line)
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest() if lines else None


def _archive_digest(place: str) -> str | None:
    """Return digest of the archive that a distribution was installed from, if it was named by its address (PEP 610)."""
    try:
        archive = json.loads(_text(place, _DIRECT_URL, _MAX_URL)).get("archive_info") or {}
        digest = (archive.get("hashes") or {}).get("sha256") or str(archive.get("hash", "")).removeprefix("sha256=")
    except (ValueError, AttributeError):
        return None
    return digest if isinstance(digest, str) and _DIGEST.match(digest) else None


def _modules(modules: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the environment modules that are loaded."""
    for module in dict.fromkeys(map(str, modules)):
        name, _, version = module.rpartition("/")
        component = {"bom-ref": f"module:{module}", "type": "application", "name": name or module}
        if name:
            component["version"] = version
        yield component | {"properties": [{"name": "prov-worker:kind", "value": "environment module"}]}


def _container(container: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the container, with its digest if its name has one."""
    if not container:
        return
    kind, image = str(container.get("kind") or "container"), str(container.get("image") or "")
    name, _, digest = image.partition("@sha256:")
    component: dict[str, Any] = {"bom-ref": "container", "type": "container", "name": name or kind}
    if _DIGEST.match(digest):
        component |= {"version": f"sha256:{digest}", "hashes": [_sha256(digest)]}
    yield component | {"properties": [{"name": "prov-worker:runtime", "value": kind}]}


def _system(name: str | None) -> Iterator[dict[str, Any]]:
    if name:
        yield {"bom-ref": "operating-system", "type": "operating-system", "name": str(name)}
