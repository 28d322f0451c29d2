#!/opt/prov/bin/python -IS
"""Health of a container, by exit code: ``health.py endpoint`` or ``health.py url URL``.

An endpoint is well when its daemon is alive (it touches its pid file every 15 s) and, if the web service is the
local one, when that hears it.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

PR_SET_DUMPABLE = 4
SERVICE = "http://127.0.0.1:5000"
SCOPE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"


def ask(url: str, *, headers: dict[str, str] | None = None, data: bytes | None = None) -> bytes:
    """One request; raises OSError for any answer but success."""
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=4) as answer:  # noqa: S310
        return bytes(answer.read())


def token(file: Path) -> str:
    """A token of the endpoint's own identity, kept for as long as it is valid."""
    kept = Path(os.environ.get("TMPDIR", "/tmp"), ".health-token")  # noqa: S108 - a container's own
    if kept.is_file() and time.time() - kept.stat().st_mtime < 3600:
        return kept.read_text()
    identity = json.loads(file.read_text())[0]
    pair = base64.b64encode(f"{identity['client_id']}:{identity['client_secret']}".encode()).decode()
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
    answer = json.loads(ask(f"{SERVICE}/v2/oauth2/token", headers={"Authorization": f"Basic {pair}"}, data=form))
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(answer["access_token"])
    temporary.replace(kept)
    return str(answer["access_token"])


def endpoint() -> str | None:
    """Why the endpoint is not well; None if it is."""
    folder = Path(
        os.environ.get("GLOBUS_COMPUTE_USER_DIR", "/var/lib/prov/globus_compute"),
        os.environ.get("PROV_STACK_ENDPOINT_NAME") or os.environ.get("PROV_ENDPOINT_NAME") or "local",
    )
    try:
        age_s = time.time() - (folder / "daemon.pid").stat().st_mtime
        endpoint_id = json.loads((folder / "endpoint.json").read_text())["endpoint_id"]
    except OSError:
        return "the daemon is not running"
    if age_s > 60:
        return f"the daemon has given no sign for {age_s:.0f} s"
    if identities := os.environ.get("PROV_STACK_IDENTITIES") or os.environ.get("PROV_IDENTITIES"):
        headers = {"Authorization": f"Bearer {token(Path(identities))}"}
        status = json.loads(ask(f"{SERVICE}/v2/endpoints/{endpoint_id}/status", headers=headers)).get("status")
        if status != "online":
            return f"the web service says {status}"
    return None


def close_to_others() -> None:
    """Keep tasks, which run as the same user, from reading the container's environment from this process."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def main(arguments: list[str]) -> str | None:
    """Why the container is not well; None if it is."""
    close_to_others()
    try:
        if arguments[:1] == ["url"]:
            ask(arguments[1])
            return None
        return endpoint()
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
