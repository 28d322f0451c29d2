"""Entities for what ran: the function, the language, the packages and the container image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prov_worker.containers import KINDS
from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import entity, property_value, references
from prov_worker.crate.json_text import clean, is_uuid, one_line, safe_name
from prov_worker.model import Command, Function

_HASHED = {
    "syntax tree": "the syntax tree of the source, and what the function is bound to",
    "command": "the command template",
    "code": "the code object{python}, and what the function is bound to",
    # of earlier journals
    "source": "the source text as it was registered",
    "payload": "the serialised function as it was sent",
}
_MAX_COMMAND = 1000
_IDENTIFIED_BY = v.FUNCTION_IDENTIFIED_BY.removeprefix("#function-")
#: Of the numbers of a release, which is what comes first.
_LEADING_ZEROS = re.compile(r"(?:(?<=\A)|(?<=(?<=\d)\.))0+(?=\d)")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def function_id(function: Function, service_url: str | None = None) -> str:
    """Return absolute identifier of a function.

    The address at the web service that has the function, if its id is known; ``service_url`` is None for Globus
    Compute's own (:data:`prov_worker.crate.vocabulary.FUNCTION_URL`). Without an id, a name inside the
    product's own namespace that is derived from what is known: the hash of the function, else its qualified name.
    Process Run Crate 0.5 recommends an absolute id (rule 5.1); the derived one claims no more than it says: the same
    bytes (or the same name) give the same identifier, on every machine.
    """
    if function.id:
        base = v.FUNCTION_URL if service_url is None else f"{service_url.rstrip('/')}/v2/functions/"
        return base + safe_name(str(function.id))
    if function.sha256 and _SHA256.match(function.sha256):
        return f"{v.NAMESPACE}function-sha256-{function.sha256}"
    name = f"{function.module}.{function.name}" if function.module else function.name
    return f"{v.NAMESPACE}function-name-{safe_name(name)}"


def package_id(name: str, version: str) -> str:
    """Return absolute identifier that names package and version.

    Globus Compute's packages have a release tag each. Others go by their page in the Python Package Index, the
    product itself by its own namespace.
    """
    tag, release = safe_name(name), safe_name(version)
    if name in ("globus-compute-endpoint", "globus-compute-sdk"):
        return (
            f"https://github.com/globus/globus-compute/tree/v{release}/{name.removeprefix('globus-').replace('-', '_')}"
        )
    if name == "prov-worker":
        return f"{v.NAMESPACE}prov-worker-{release}"
    return f"{v.PACKAGE_URL}{tag}/{release}/"


@lru_cache(maxsize=1024)
def plain_version(version: str) -> str:
    """Return a version as a package index spells it (PEP 440): ``2026.5.4`` of Parsl's ``2026.05.04``."""
    return _LEADING_ZEROS.sub("", version)


class Software:
    """The language and the packages of a worker: rendered once for all tasks with the same versions."""

    def __init__(self, versions: Mapping[str, str]) -> None:
        python = versions.get("python")
        if python:
            plain = one_line(python).split(" ")[0]
            self.language = v.PYTHON_RELEASE_URL + safe_name(plain.replace(".", "")) + "/"
        else:
            plain = "unknown"
            self.language = v.PYTHON_URL
        texts = [entity(self.language, "ComputerLanguage", {"name": "Python", "version": plain, "url": v.PYTHON_URL})]
        ids = []
        for name, version in sorted(versions.items()):
            if name == "python" or not version:
                continue
            version = plain_version(version)
            identifier = package_id(name, version)
            ids.append(identifier)
            properties = {"name": one_line(name), "version": one_line(version), "url": identifier}
            texts.append(entity(identifier, "SoftwareApplication", properties))
        self.requirements = references(ids)
        #: of a shell command, which needs the interpreter too
        self.requirements_of_command = references([self.language, *ids])
        self.entities = tuple(texts)


def _hash_of(function: Function) -> str | None:
    text = _HASHED.get(function.sha256_of or "", function.sha256_of)
    return None if text is None else text.format(python=f" of {function.python}" if function.python else "")


def function_entities(
    function: Function, identifier: str, software: Software, source: str | None, command: Command | None = None
) -> list[str]:
    """Return the function as a SoftwareApplication, and PropertyValues for what it has no property for.

    Args:
        function: what is known of it.
        identifier: as :func:`function_id` gave it.
        software: language and packages that it needs.
        source: id of the file that holds its source; None if there is none.
        command: the shell command that it stands for; its language is bash if it has a template.
    """
    texts = []
    ids = []
    template = command.template if command is not None else None
    identified_by = "id" if function.id else "sha256" if "function-sha256-" in identifier else "name"
    facts: list[tuple[str, str, Any, str | None]] = [
        (_IDENTIFIED_BY, "what the identifier is made of", identified_by, None),
        ("module", "module", function.module, None),
        ("command-template", "command template", template, None),
        ("time-limit", "time limit of the command", command.limit_s if command is not None else None, "second"),
        ("kind", "kind of callable", function.kind, None),
        ("hash-of", "what the version hashes", _hash_of(function), None),
        (
            "source-absent",
            "why the source is absent",
            function.source_absent if source is None and template is None else None,
            None,
        ),
        ("strategy", "serialisation strategy of Globus Compute", function.strategy, None),
        ("size", "size of the serialised function", function.size_bytes, "byte"),
        ("payload-sha256", "sha256 of the serialised function", function.payload_sha256, None),
    ]
    for key, name, value, unit in facts:
        if value is None or value == "":
            continue
        ids.append(f"#function-{key}")
        texts.append(property_value(ids[-1], name, value, unit=unit))
    name = one_line(function.name) or "unnamed function"
    if template is not None:
        description = f"Shell command: {clean(template).strip()[:_MAX_COMMAND]}"
        texts.append(entity(v.BASH_URL, "ComputerLanguage", {"name": "Bash", "url": v.BASH_URL}))
    elif function.doc and clean(function.doc).strip():
        description = clean(function.doc).strip()
    else:
        description = f"Python function {name}, without documentation"
    properties = {
        "name": name,
        "description": description,
        "url": identifier,
        "version": f"sha256:{one_line(function.sha256)}" if function.sha256 else "unknown",
        "programmingLanguage": {"@id": software.language if template is None else v.BASH_URL},
        "softwareRequirements": software.requirements if template is None else software.requirements_of_command,
        "subjectOf": {"@id": source} if source else None,
        "additionalProperty": references(ids),
    }
    if function.id and is_uuid(str(function.id)):
        properties["identifier"] = f"urn:uuid:{function.id}"
    return [entity(identifier, "SoftwareApplication", properties), *texts]


@lru_cache(maxsize=64)
def container_image(container: str) -> str | None:
    """Return a ContainerImage from the name of an image: a file in the Singularity format, or a name in a registry.

    None if the kind of the container is all that is known: an image would be made up. The name follows the reference
    grammar of the OCI distribution: ``[registry/]repository[:tag][@sha256:hex]``.
    """
    text = one_line(container)
    kind, _, image = text.partition(":")
    # As a worker names it: docker:name, or the kind alone if nothing tells the image.
    if kind in KINDS and not image.startswith("//"):
        text = image
    if not text:
        return None
    file, _, file_digest = text.partition("@sha256:")
    properties: dict[str, Any] = {"name": text}
    if re.search(r"\.(sif|simg|sqsh|img)\Z", file) or file.startswith("/"):
        properties["name"] = file
        if file_digest:
            properties["sha256"] = file_digest
        # A registry is recommended (rule 13.2); an image file has none, and says so.
        properties["registry"] = "none: a file on the node"
        properties["additionalType"] = {"@id": v.RUN_TERMS + "SIFImage"}
        return entity("#container-image", "ContainerImage", properties)
    name, _, digest = re.sub(r"\A[a-z]+://", "", text).partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = "docker.io", name
    repository, _, tag = repository.partition(":")
    properties.update(name=repository or text, registry=registry, tag=tag or "latest")
    if digest.startswith("sha256:"):
        properties["sha256"] = digest.removeprefix("sha256:")
        if not tag:
            del properties["tag"]
    properties["additionalType"] = {"@id": v.RUN_TERMS + "DockerImage"}
    return entity("#container-image", "ContainerImage", properties)
