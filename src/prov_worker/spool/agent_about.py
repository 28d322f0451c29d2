"""What a node's agent says of itself, for a worker or a person that looks: ``agent.json`` in the runtime directory."""

from __future__ import annotations

import json
import os
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.locks import lock
from prov_worker.spool import launch
from prov_worker.spool.own_files import read_own

ABOUT = "agent.json"
#: Held by the finaliser, which may outlive the sampler that holds the agent's own lock.
FINALISER_LOCK = "finaliser.lock"
#: Version of the rings that this release drains.
RINGS_VERSION = 1


def finaliser_lives(runtime: str) -> bool:
    """Return whether the part of an agent that writes crates is at work, with or without the one that samples."""
    path = os.path.join(runtime, FINALISER_LOCK)
    if not os.path.exists(path):
        return False
    try:
        descriptor = launch.open_lock(runtime, FINALISER_LOCK)
    except OSError:
        return False
    try:
        return not lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)


def drains(runtime: str) -> bool | None:
    """Return whether the agent of a runtime directory drains rings; None if none lives, or it has not said so yet."""
    if not runtime or not launch.agent_lives(runtime):
        return None
    about = _about(runtime)
    return None if about is None else about.get("rings") == RINGS_VERSION


def is_finaliser(runtime: str, pid: int) -> bool:
    """Return whether the agent that has a runtime directory says that this process writes its crates."""
    return (_about(runtime) or {}).get("finaliser") == pid


def _about(runtime: str) -> dict[str, Any] | None:
    """Return what the agent says; None if it has said nothing yet."""
    try:
        about = json.loads(read_own(os.path.join(runtime, ABOUT)))
    except (OSError, ValueError) as error:
        if not is_own(error):
            raise
        return None
    return about if isinstance(about, dict) else {}
