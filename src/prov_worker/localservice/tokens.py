"""Access tokens: signed, not stored, so that they outlive a restart of the service.

``<payload>.<signature>``: the payload is base64url JSON with identity, resource server, token id and expiry; the
signature an HMAC-SHA256 whose key depends on the identity's secret too: a new secret ends its tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass

from prov_worker.localservice.identities import Identities, Identity

LIFETIME_S = 172_800

COMPUTE_SERVER = "funcx_service"
AUTH_SERVER = "auth.globus.org"
#: Scope of the Compute service.
COMPUTE_SCOPE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
FLOWS_SERVER = "flows.globus.org"
FLOWS_ID = "eec9b274-0c81-4334-bdc2-54e90e689b9a"
#: Scopes name their resource server, but for those of two services, which name a client of theirs.
_SCOPE = re.compile(
    r"(?:https://auth\.globus\.org/scopes/|urn:globus:auth:scope:)([0-9A-Za-z._-]{1,80})(?:/|:)[0-9A-Za-z._:/-]{1,200}\Z"
)
_SERVERS = {"facd7ccc-c5f4-42aa-916b-a0e270e2c2a9": COMPUTE_SERVER, FLOWS_ID: FLOWS_SERVER}


@dataclass(frozen=True)
class Token:
    """What a valid token says.

    Attributes:
        identity: whose it is.
        resource_server: that it is for.
        token_id: by which it is revoked.
        expires: seconds since the epoch.
        scope: scopes that it has, with those that depend on them; empty for Compute and Auth, which ask for none.
    """

    identity: Identity
    resource_server: str
    token_id: str
    expires: float
    scope: str = ""


def resource_server(scope: str) -> str:
    """Return the server that a scope belongs to; dependent scopes in brackets do not change it."""
    name = scope.lstrip("*").split("[")[0]
    match = _SCOPE.match(name)
    if match is None:
        return AUTH_SERVER
    return _SERVERS.get(match[1], match[1])


class Signer:
    """Makes and reads tokens.

    Args:
        key: the service's own key.
        identities: whose tokens are valid.
    """

    def __init__(self, key: bytes, identities: Identities) -> None:
        self._key = key
        self._identities = identities

    def _signature(self, payload: str, identity: Identity) -> str:
        key = hmac.new(self._key, identity.fingerprint, hashlib.sha256).digest()
        return _encode(hmac.new(key, payload.encode(), hashlib.sha256).digest())

    def sign(self, identity: Identity, server: str, now: float, scope: str = "") -> str:
        """Return a new token of an identity for a resource server; only those that look at scopes have theirs in it."""
        content = {"sub": identity.client_id, "aud": server, "jti": secrets.token_hex(8), "exp": int(now) + LIFETIME_S}
        if server not in (COMPUTE_SERVER, AUTH_SERVER):
            content["scope"] = scope
        payload = _encode(json.dumps(content, separators=(",", ":")).encode())
        return f"{payload}.{self._signature(payload, identity)}"

    def read(self, text: str, now: float) -> Token | None:
        """Return what a token says, or None if it is not one of ours, has been changed, or has expired."""
        payload, _, signature = text.partition(".")
        try:
            content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            subject, server, token_id, expires = (content[key] for key in ("sub", "aud", "jti", "exp"))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        identity = self._identities.get(subject) if isinstance(subject, str) else None
        if identity is None or not isinstance(expires, int):
            return None
        expected = self._signature(payload, identity)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass")) or expires <= now:
            return None
        return Token(identity, str(server), str(token_id), expires, str(content.get("scope", "")))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
