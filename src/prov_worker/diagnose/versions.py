"""Versions of what both sides of Globus Compute run."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

#: Distributions whose versions are compared.
PACKAGES: Final = (
    "dill",
    "globus-compute-sdk",
    "globus-compute-endpoint",
    "globus-compute-common",
    "parsl",
    "prov-worker",
)


def here() -> dict[str, str | None]:
    """Return the versions on this machine; None of what is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
