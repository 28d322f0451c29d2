"""Accounts on the broker, one for each identity, so that the broker too shows nobody what is another's.

Names on the broker hold their owner (:mod:`.topology`). An identity's account may read its own queues, publish results
and heartbeats with routing keys that begin with its own id, and declare, bind or delete nothing. Its password follows
from the service's key and the identity's secret: it is stored nowhere, and a new secret ends it, with the connections
that were opened with it.

Accounts are made through RabbitMQ's management API (https://www.rabbitmq.com/docs/management).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import ssl
import threading
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests
from requests.auth import HTTPBasicAuth

from prov_worker.localservice import topology
from prov_worker.localservice.channel import BrokerDownError
from prov_worker.localservice.identities import Identities, Identity

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_PREFIX = "prov-worker."
#: Tag of an account, with a digest of its password: whether it is still the right one can be seen without knowing it.
_KEY_TAG = "prov-worker-key-"
#: Matches no name at all.
_NOTHING = "^$"


def permissions(owner: str) -> dict[str, str]:
    """Return what an identity may configure, write and read: regular expressions of names."""
    own = re.escape(owner)
    return {
        "configure": _NOTHING,
        "write": f"^({topology.RESULTS}|{topology.HEARTBEATS})$",
        "read": rf"^({own}\.|{re.escape(topology.group_prefix(owner))})",
    }


def topic_permissions(owner: str) -> list[dict[str, str]]:
    """Return the routing keys with which an identity may publish: those of its own endpoints."""
    own = f"^{re.escape(owner)}\\."
    return [
        {"exchange": exchange, "write": own, "read": _NOTHING} for exchange in (topology.RESULTS, topology.HEARTBEATS)
    ]


class Accounts:
    """The accounts of a service's identities.

    Args:
        url: the broker as clients reach it; its user and password are replaced.
        management: URL of the management API, with the user and password of an administrator; None: there are no
            accounts, and all use ``url`` as it is.
        key: the service's own key.
        identities: who has an account.
        channels: that each may have open at once, and half as many connections.
    """

    def __init__(
        self, url: str, management: str | None, key: bytes, identities: Identities, channels: int = 2000
    ) -> None:
        self._url = url
        self._management = management
        self._key = hmac.new(key, b"broker accounts", hashlib.sha256).digest()
        self._identities = identities
        self._limits = {"max-channels": channels, "max-connections": max(1, channels // 2)}
        self._vhost = unquote(urlsplit(url).path[1:]) or "/"
        #: Accounts belong to the whole broker, of which a service has one virtual host.
        self._prefix = f"{_PREFIX}{hashlib.sha256(self._vhost.encode()).hexdigest()[:8]}."
        self._guard = threading.Lock()
        self._made = management is None
        #: Why accounts could not be made; empty when all is well.
        self.last_error = "" if self._made else "not made yet"

    @property
    def ready(self) -> bool:
        """Whether what is handed out is good at the broker."""
        return self._made

    def broker_lost(self) -> None:
        """Forget that accounts were made: the broker may come back without them."""
        self._made = self._management is None

    def url_for(self, owner: str) -> str:
        """Return the AMQP URL of an identity.

        Raises:
            KeyError: nobody has that id.
        """
        if self._management is None:
            return self._url
        identity = self._identities.get(owner)
        if identity is None:
            raise KeyError(owner)
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        user = f"{self._name(identity)}:{self._password(identity)}"
        return urlunsplit((parts.scheme, f"{user}@{host}", parts.path, parts.query, ""))

    def ensure(self) -> None:
        """Make sure that every identity has its account, and nobody else one.

        Raises:
            BrokerDownError: the management API does not answer, or refuses.
        """
        with self._guard:
            if self._made:
                return
            try:
                self._make()
            except (requests.RequestException, OSError, ValueError) as error:
                reason = f"accounts: {type(error).__name__}: {error}"
                if reason != self.last_error:
                    _log.warning("broker: %s", reason)
                self.last_error = reason
                raise BrokerDownError(reason) from error
            self.last_error = ""
            self._made = True

    def _name(self, identity: Identity) -> str:
        return self._prefix + identity.client_id

    def _password(self, identity: Identity) -> str:
        return hmac.new(self._key, identity.client_id.encode() + identity.fingerprint, hashlib.sha256).hexdigest()

    def _make(self) -> None:
        tags = {each["name"]: _tags(each) for each in self._ask("GET", "users?columns=name,tags")}
        wanted = {self._name(each) for each in self._identities}
        for name in tags:
            if name.startswith(self._prefix) and name not in wanted:
                _log.info("broker: removing the account %s, whose identity is gone", name)
                self._ask("DELETE", f"users/{quote(name, safe='')}")
        for identity in self._identities:
            name, password = self._name(identity), self._password(identity)
            user = quote(name, safe="")
            key = _KEY_TAG + hashlib.sha256(password.encode()).hexdigest()[:16]
            if name in tags and key not in tags[name]:
                # Its connections end with it; a new password alone would leave them open.
                self._ask("DELETE", f"users/{user}")
            self._ask("PUT", f"users/{user}", {"password": password, "tags": key})
            vhost = quote(self._vhost, safe="")
            self._ask("PUT", f"permissions/{vhost}/{user}", permissions(identity.client_id))
            for limit, number in self._limits.items():
                self._ask("PUT", f"user-limits/{user}/{limit}", {"value": number})
            for topic in topic_permissions(identity.client_id):
                self._ask("PUT", f"topic-permissions/{vhost}/{user}", topic)

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        assert self._management is not None
        parts = urlsplit(self._management)
        assert parts.hostname is not None
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = parts.port or (15671 if parts.scheme == "https" else 15672)
        with requests.Session() as session:
            # Neither a proxy nor a .netrc is meant for the broker; certificates are those that the system trusts.
            session.trust_env = False
            system = ssl.get_default_verify_paths()
            session.verify = system.cafile or system.capath or True
            # As bytes: of text, requests takes Latin-1.
            login = [unquote(text or "").encode() for text in (parts.username, parts.password)]
            session.auth = HTTPBasicAuth(*login)
            answer = session.request(
                method,
                f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}/api/{path}",
                json=content,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        if answer.status_code in (401, 403):
            raise ValueError("the management API wants a user with the tag administrator")
        if answer.status_code >= 300 and not (method == "DELETE" and answer.status_code == 404):
            raise ValueError(f"the management API answers {answer.status_code} to {method} {path.split('/')[0]}")
        return answer.json() if answer.content and method == "GET" else None


def _tags(user: dict[str, Any]) -> list[str]:
    """Return tags of a user: a list since RabbitMQ 3.9, a text before."""
    tags = user.get("tags") or []
    return tags.split(",") if isinstance(tags, str) else list(tags)
