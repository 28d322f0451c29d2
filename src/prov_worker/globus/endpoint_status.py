"""What the web service calls endpoints, by the SDK in a process with their environment.

    python -m prov_worker.globus.endpoint_status ENDPOINT_ID...

The SDK reads credentials when it is imported, and asks a terminal for a login: this process has none. Its output is a
JSON object: the status, or the error, of each id.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What the service says of an endpoint.

    Attributes:
        status: such as ``online`` and ``offline``; None if it could not be asked.
        error: why not.
    """

    status: str | None
    error: str | None = None


def ask(endpoint_ids: Sequence[str], environ: Mapping[str, str]) -> dict[str, EndpointStatus]:
    """Ask the web service for endpoints.

    Args:
        endpoint_ids: UUIDs.
        environ: of their daemons, with credentials.
    """
    if not endpoint_ids:
        return {}
    command = [sys.executable, "-m", "prov_worker.globus.endpoint_status", *endpoint_ids]
    try:
        answer = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        statuses = json.loads(answer.stdout)
        return {name: EndpointStatus(*statuses[name]) for name in endpoint_ids}
    except subprocess.TimeoutExpired:
        error = f"no answer in {_LIMIT_S:.0f} s"
    except (ValueError, LookupError, TypeError):
        error = (answer.stderr.strip().splitlines() or [f"code {answer.returncode}"])[-1]
    return {name: EndpointStatus(None, error) for name in endpoint_ids}


def _statuses(endpoint_ids: Sequence[str]) -> dict[str, tuple[str | None, str | None]]:
    statuses: dict[str, tuple[str | None, str | None]] = {}
    client = None
    for name in endpoint_ids:
        try:
            if client is None:
                from globus_compute_sdk import Client

                client = Client()
            statuses[name] = str(client.get_endpoint_status(name)["status"]), None
        except EOFError:
            statuses[name] = None, "nobody is logged in"
        except Exception as error:  # whatever it is, it is the answer
            statuses[name] = None, " ".join(f"{type(error).__name__}: {error}".split())
    return statuses


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # the SDK asks for a login there
        answers = _statuses(sys.argv[1:])
    print(json.dumps(answers))
