"""Settings as they travel with a task, and their reading from ``PROV_WORKER_*`` variables."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from prov_worker.errors import SettingsError
from prov_worker.settings import Settings, switched_on


def provenance_mapping(
    settings: Settings, default_crate_dir: str, endpoint_id: str | None = None, endpoint_name: str | None = None
) -> dict[str, Any]:
    """Return what travels with a task: settings with a crate directory, and a key that tells them from others.

    Args:
        settings: the settings.
        default_crate_dir: taken if the settings name no crate directory.
        endpoint_id: of the endpoint, if there is one.
        endpoint_name: of the endpoint, if there is one.

    Raises:
        SettingsError: the crate directory is not absolute.
    """
    mapping = settings.to_mapping()
    mapping["crate_dir"] = settings.crate_dir or default_crate_dir
    if not os.path.isabs(mapping["crate_dir"]):
        raise SettingsError("crate_dir", f"expected an absolute path, got {mapping['crate_dir']!r}")
    stream = settings.stream_mapping()
    identity = json.dumps([mapping, endpoint_id, endpoint_name, *([stream] if stream else [])], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    provenance = {"key": key, "settings": mapping, "endpoint_name": endpoint_name}
    return {**provenance, "stream": stream} if stream else provenance


def provenance_of_environment(
    default_crate_dir: str, endpoint_id: str | None = None, endpoint_name: str | None = None
) -> dict[str, Any] | None:
    """Return :func:`provenance_mapping` of this process's ``PROV_WORKER_*``; None if they ask for no recording.

    Raises:
        SettingsError: a variable is unknown or wrong.
    """
    if not switched_on():
        return None
    settings = Settings.from_environ()
    return provenance_mapping(settings, default_crate_dir, endpoint_id, endpoint_name) if settings.enabled else None
