"""What a daemon is started with: software, configuration and credentials; what has changed since, it has not."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from prov_worker.fleet.fleetfile import EndpointSpec
from prov_worker.sites.catalog import TEMPLATE

_PACKAGES = ("prov-worker", "globus-compute-endpoint", "globus-compute-sdk", "parsl")
#: Files that the daemon and its user endpoints read when they start.
_FILES = ("config.yaml", TEMPLATE, "user_config_schema.json", "user_environment.yaml")


@dataclass(frozen=True, slots=True)
class Launch:
    """What a daemon is started with; empty if nobody noted it.

    Attributes:
        software: as :func:`software` gives it.
        configuration: SHA-256 of the endpoint's files.
        credentials: SHA-256 of the credentials file; empty if there is none.
    """

    software: str = ""
    configuration: str = ""
    credentials: str = ""

    @classmethod
    def now(cls, spec: EndpointSpec) -> Launch:
        """Return what a daemon would be started with now, by this interpreter."""
        files = (spec.directory / name for name in _FILES)
        return cls(software(), _digest(files), _digest([spec.credentials]) if spec.credentials else "")

    def changes(self, present: Launch) -> list[str]:
        """Return what differs now: names of the attributes, or ``unknown`` if nothing is noted."""
        if not self.software:
            return ["unknown"]
        return [name for name in self.__slots__ if getattr(self, name) != getattr(present, name)]


def software() -> str:
    """Return the environment that this interpreter belongs to now, without links, and its packages' versions.

    The environment of a process that was started through a link may be replaced while it runs.
    """
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return f"{versions} in {environment()}"


def environment() -> str:
    """Return the directory of this interpreter's environment, without links."""
    return os.path.realpath(sys.prefix)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _digest(files: Iterable[Path]) -> str:
    """Return one SHA-256 of all files' contents; a missing file differs from an empty one."""
    total = hashlib.sha256()
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            content = None
        total.update(b"-" if content is None else hashlib.sha256(content).digest())
    return total.hexdigest()
