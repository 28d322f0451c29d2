"""Settings from PROV_WORKER_* variables, for workers under a stock engine."""

from __future__ import annotations

import functools
import os
from typing import Any

from prov_worker.recorder.provenance import provenance_of_environment


def default_crate_dir(endpoint: str | None) -> str:
    """Return ``<user dir>/provenance/<endpoint>``: beside the endpoints, never in a task's working directory."""
    user_dir = os.environ.get("GLOBUS_COMPUTE_USER_DIR") or os.path.expanduser("~/.globus_compute")
    name = os.environ.get("GLOBUS_COMPUTE_ENDPOINT_NAME") or endpoint or "endpoint"
    return os.path.join(os.path.abspath(user_dir), "provenance", name.replace(os.sep, "_"))


@functools.lru_cache(maxsize=16)
def provenance_of_endpoint(endpoint_id: str | None) -> dict[str, Any] | None:
    """Return what travels with the tasks of a stock engine; None if ``PROV_WORKER_*`` asks for no recording.

    Raises:
        SettingsError: a ``PROV_WORKER_*`` variable is unknown or wrong.
    """
    name = os.environ.get("GLOBUS_COMPUTE_ENDPOINT_NAME")
    return provenance_of_environment(default_crate_dir(endpoint_id), endpoint_id, name)
