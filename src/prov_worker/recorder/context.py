"""What a worker says in its environment for all that it starts: where its slot is, and how its tasks are recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

#: In the environment of all that a worker starts.
CONTEXT = "PROV_WORKER_CONTEXT"
_KEPT = ("key", "settings", "endpoint_name")


def publish(slot: str, provenance: Mapping[str, Any], endpoint_id: Any) -> None:
    """Say in the environment where the slot of this process is, and how its tasks are recorded."""
    context = {
        "slot": slot,
        "endpoint": None if endpoint_id is None else str(endpoint_id),
        "provenance": {key: provenance.get(key) for key in _KEPT},
    }
    os.environ[CONTEXT] = json.dumps(context)


def context() -> dict[str, Any]:
    """Return what the worker that started this process, or is it, has published; empty if there is none."""
    try:
        context = json.loads(os.environ.get(CONTEXT, ""))
        settings = context["provenance"]["settings"]
        return context if isinstance(settings, dict) and isinstance(context["slot"], str) else {}
    except (ValueError, LookupError, TypeError):
        return {}


def capture_settings() -> Mapping[str, Any]:
    """Return what the worker's settings say of ``capture``; empty if that is the default."""
    provenance = context().get("provenance") or {}
    capture = provenance["settings"].get("capture") if provenance else None
    return capture if isinstance(capture, dict) else {}
