"""Which endpoint the examples use: that of GLOBUS_COMPUTE_ENDPOINT_ID, or the only one that you have."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def endpoint_id() -> str:
    """Its UUID; ends the program with one line where it cannot be told."""
    if given := os.environ.get("GLOBUS_COMPUTE_ENDPOINT_ID"):
        return given
    from globus_compute_sdk import Client

    mine = Client().get_endpoints()
    if len(mine) != 1:
        names = ", ".join(f"{one['name']} {one['uuid']}" for one in mine) or "none"
        sys.exit(f"set GLOBUS_COMPUTE_ENDPOINT_ID to one of your endpoints: {names}")
    return str(mine[0]["uuid"])
