"""Which endpoint the examples use: that of GLOBUS_COMPUTE_ENDPOINT_ID, or the only one of yours that is online."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def endpoint_id() -> str:
    """Its UUID; ends the program with one line if it cannot be known."""
    if given := os.environ.get("GLOBUS_COMPUTE_ENDPOINT_ID"):
        return given
    from globus_compute_sdk import Client

    client = Client()
    mine = client.get_endpoints()
    if len(mine) > 1:
        mine = [endpoint for endpoint in mine if client.get_endpoint_status(endpoint["uuid"])["status"] == "online"]
    if len(mine) != 1:
        names = ", ".join(f"{endpoint['name']} {endpoint['uuid']}" for endpoint in mine) or "none"
        sys.exit(f"set GLOBUS_COMPUTE_ENDPOINT_ID to one of your endpoints: {names}")
    return str(mine[0]["uuid"])
