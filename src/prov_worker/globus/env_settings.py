"""The second way in: recording that is switched on by the worker's environment, under an engine that is not ours."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from typing import Any

from prov_worker.errors import SettingsError
from prov_worker.settings import Settings

SWITCH = "PROV_WORKER"


def switched_on() -> bool:
    """Whether ``PROV_WORKER`` asks for recording in this process."""
    return os.environ.get(SWITCH, "").strip().lower() in ("1", "true", "yes", "on")


def default_crate_dir(endpoint: str | None) -> str:
    """``<user dir>/provenance/<endpoint>``: beside the endpoints, never inside a task's working directory."""
    user_dir = os.environ.get("GLOBUS_COMPUTE_USER_DIR") or os.path.expanduser("~/.globus_compute")
    name = os.environ.get("GLOBUS_COMPUTE_ENDPOINT_NAME") or endpoint or "endpoint"
    return os.path.join(os.path.abspath(user_dir), "provenance", name.replace(os.sep, "_"))


def provenance_mapping(settings: Settings, endpoint_id: str | None, endpoint_name: str | None = None) -> dict[str, Any]:
    """What travels with a task: settings with a resolved crate directory, and a key to know them again by.

    Raises:
        SettingsError: the crate directory is not absolute after all.
    """
    mapping = settings.to_mapping()
    mapping["crate_dir"] = settings.crate_dir or default_crate_dir(endpoint_name or endpoint_id)
    if not os.path.isabs(mapping["crate_dir"]):
        raise SettingsError("crate_dir", f"expected an absolute path, got {mapping['crate_dir']!r}")
    identity = json.dumps([mapping, endpoint_id, endpoint_name], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return {"key": key, "settings": mapping, "endpoint_name": endpoint_name}


def provenance_of_environment(endpoint_id: Any) -> dict[str, Any] | None:
    """The mapping for tasks under a stock engine; None where ``PROV_WORKER_ENABLED`` says no.

    Raises:
        SettingsError: a ``PROV_WORKER_*`` variable is unknown or wrong.
    """
    return _read(None if endpoint_id is None else str(endpoint_id))


@functools.lru_cache(maxsize=16)
def _read(endpoint_id: str | None) -> dict[str, Any] | None:
    settings = Settings.from_environ()
    if not settings.enabled:
        return None
    return provenance_mapping(settings, endpoint_id, os.environ.get("GLOBUS_COMPUTE_ENDPOINT_NAME"))
