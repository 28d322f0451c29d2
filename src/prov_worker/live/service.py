"""Asks a local service what runs in the crate directories that it was given."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from prov_worker.errors import InputError, MissingExtraError
from prov_worker.live.agents import Remark, view_of
from prov_worker.live.model import DEAD, LATE, View
from prov_worker.spool.live import VERSION

_TIMEOUT_S = 5
#: As stock software takes them; `prov-worker service env` prints both.
CLIENT_ID, CLIENT_SECRET = "GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"


class ServiceAgents:
    """The agents that a local service knows.

    Args:
        url: of the service, on this machine: a client id and its secret are sent there.
        environ: has both, in the variables of stock software.

    Raises:
        InputError: the URL leads elsewhere, or there is no id or no secret.
    """

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if parts.scheme != "http" or not local:
            raise InputError(f"{host or url}: is not this machine; a secret is sent to http://127.0.0.1:PORT/ alone")
        self._url = f"http://{parts.netloc.rpartition('@')[2]}/live"
        self._login = (environ.get(CLIENT_ID, ""), environ.get(CLIENT_SECRET, ""))
        if not all(self._login):
            raise InputError(f"{CLIENT_ID} and {CLIENT_SECRET} are not set; `prov-worker service env` prints both")

    def look(self) -> View:
        """Return what the service says runs.

        Raises:
            InputError: it does not answer, or not to this identity.
        """
        try:
            import requests
        except ImportError as error:
            raise MissingExtraError("a service is asked by requests", "service", error) from error
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy that the environment names is for other machines
                answer = session.get(self._url, auth=self._login, timeout=_TIMEOUT_S, allow_redirects=False)
                if answer.status_code == 401:
                    raise InputError(f"{self._url}: does not know this client id and secret")
                answer.raise_for_status()
                content = json.loads(answer.content)
                remarks = [remark for entry in content["agents"] if (remark := _remark(entry)) is not None]
                return view_of(remarks, [str(problem) for problem in content["problems"]])
        except (requests.RequestException, ValueError, LookupError, TypeError) as error:
            reason = "nothing answers there" if isinstance(error, requests.ConnectionError) else type(error).__name__
            raise InputError(f"{self._url}: no answer of a prov-worker service: {reason}") from error


def _remark(entry: Mapping[str, object]) -> Remark | None:
    document, state = entry["document"], entry.get("state")
    if not isinstance(document, dict) or document.get("v") != VERSION:
        return None
    known_state = str(state) if state in (LATE, DEAD) else None
    return Remark(document, "file" if entry.get("by") == "file" else "socket", known_state)
