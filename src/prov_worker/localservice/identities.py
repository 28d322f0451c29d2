"""Who may use the service: client identities with a secret each, from a file or from the environment."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.files import read_private, write_file

#: Identity provider of client identities, in place of the hosted one.
PROVIDER = str(uuid.uuid5(uuid.NAMESPACE_DNS, "clients.auth.globus.org"))
#: Bits that a secret must be able to hold: no number of tries finds it.
_SECRET_BITS = 128
#: Characters of each kind, as far as they count towards :data:`_SECRET_BITS`.
_ALPHABETS = (
    (re.compile(r"[0-9]"), 10),
    (re.compile(r"[a-f]"), 6),
    (re.compile(r"[g-z]"), 20),
    (re.compile(r"[A-Z]"), 26),
    (re.compile(r"[^0-9A-Za-z]"), 2),
)
_KIND = "identities"


@dataclass(frozen=True)
class Identity:
    """A client: what `GLOBUS_COMPUTE_CLIENT_ID` and `GLOBUS_COMPUTE_CLIENT_SECRET` hold on the other side."""

    client_id: str
    client_secret: str = field(repr=False)
    name: str = "local client"

    @property
    def username(self) -> str:
        """As Globus Auth names clients."""
        return f"{self.client_id}@clients.auth.globus.org"

    @property
    def fingerprint(self) -> bytes:
        """Digest of the secret: what is derived from it ends when the secret changes."""
        return hashlib.sha256(self.client_secret.encode()).digest()

    def as_set_member(self) -> dict[str, Any]:
        """Return its entry in an ``identity_set``."""
        return {
            "sub": self.client_id,
            "username": self.username,
            "name": self.name,
            "email": None,
            "organization": None,
            "identity_provider": PROVIDER,
            "identity_provider_display_name": "Local clients",
        }


class Identities:
    """All identities of a service.

    Raises:
        InputError: none at all, or two with the same client_id.
    """

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._by_id: dict[str, Identity] = {}
        for identity in identities:
            if identity.client_id in self._by_id:
                raise InputError(f"client_id {identity.client_id}: given twice")
            self._by_id[identity.client_id] = identity
        if not self._by_id:
            raise InputError("no identity: give one in a file (--identities) or in PROV_SERVICE_CLIENT_ID and _SECRET")

    def __iter__(self) -> Any:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, client_id: str) -> Identity | None:
        """Return the identity of that id."""
        return self._by_id.get(client_id)

    def authenticate(self, client_id: str, client_secret: str) -> Identity | None:
        """Return the identity, if the secret is right; takes as long if the id is unknown."""
        identity = self._by_id.get(client_id)
        expected = identity.client_secret if identity else secrets.token_urlsafe()
        right = hmac.compare_digest(expected.encode(), client_secret.encode("utf-8", "surrogatepass"))
        return identity if right else None


def parse(text: str, source: str) -> list[Identity]:
    """Return identities in JSON: ``[{"client_id": UUID, "client_secret": …, "name": …}, …]``; ``name`` may be left out.

    Raises:
        InputError: anything else; names the source and the entry, never a secret.
    """
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise InputError(f"{source}: not JSON") from error
    if not isinstance(entries, list):
        raise InputError(f"{source}: not a list of identities")
    return [_identity(entry, f"{source}: [{number}]") for number, entry in enumerate(entries)]


def _identity(entry: object, where: str) -> Identity:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: not an object with client_id and client_secret")
    unknown = sorted(set(entry) - {"client_id", "client_secret", "name"})
    if unknown:
        raise InputError(f"{where}.{unknown[0]}: no such key; known are client_id, client_secret, name")
    values: dict[str, str] = {}
    for key in ("client_id", "client_secret", "name"):
        value = entry.get(key, "local client" if key == "name" else None)
        if not isinstance(value, str) or not value:
            raise InputError(f"{where}.{key}: must be a text")
        values[key] = value
    try:
        values["client_id"] = str(uuid.UUID(values["client_id"]))
    except ValueError as error:
        raise InputError(f"{where}.client_id: must be a UUID, as the SDK wants it") from error
    if _bits(values["client_secret"]) < _SECRET_BITS:
        raise InputError(
            f"{where}.client_secret: holds less than {_SECRET_BITS} bits; `prov-worker service identity` makes one"
        )
    return Identity(**values)


def _bits(secret: str) -> float:
    """Return how many bits a secret can hold at most, by its length and the kinds of its characters."""
    size = sum(number for pattern, number in _ALPHABETS if pattern.search(secret))
    # Of a secret that repeats itself only what is different counts.
    return min(len(secret), 4 * len(set(secret))) * math.log2(size) if size > 1 else 0.0


def from_environment(environ: dict[str, str]) -> Identity | None:
    """Return ``PROV_SERVICE_CLIENT_ID`` with ``PROV_SERVICE_CLIENT_SECRET`` or ``PROV_SERVICE_CLIENT_SECRET_FILE``."""
    client_id = environ.get("PROV_SERVICE_CLIENT_ID")
    secret_file = environ.get("PROV_SERVICE_CLIENT_SECRET_FILE")
    secret = environ.get("PROV_SERVICE_CLIENT_SECRET")
    if secret_file and not secret:
        secret = read_private(Path(secret_file), "secrets", roots_for_group=True).strip()
    if not client_id and not secret:
        return None
    if not client_id or not secret:
        raise InputError("PROV_SERVICE_CLIENT_ID and PROV_SERVICE_CLIENT_SECRET (or …_FILE): one needs the other")
    return _identity({"client_id": client_id, "client_secret": secret}, "PROV_SERVICE_CLIENT")


def load(path: Path | None, default: Path, environ: dict[str, str], *, make: bool = True) -> Identities:
    """Return identities of a service.

    From ``path`` if it is given, from the environment, or else from ``default``, which is made with one new identity
    if it is missing (mode 0600) and ``make`` allows it.

    Raises:
        InputError: an unreadable file, a bad entry, or none at all.
    """
    identities: list[Identity] = []
    if path is not None:
        identities += read(path)
    given = from_environment(environ)
    if given is not None:
        identities.append(given)
    if path is None and given is None:
        if not default.exists():
            if not make:
                raise InputError(f"{default}: no service has run with this state yet; start it, or give its own --db")
            _make(default)
        identities += read(default)
    return Identities(identities)


def read(path: Path) -> list[Identity]:
    """Return identities of a file that is the caller's and closed to others, or root's and open to a group at most.

    Raises:
        InputError: it is not, cannot be read, or has a bad entry.
    """
    return parse(read_private(path, _KIND, roots_for_group=True), str(path))


def add(path: Path, name: str) -> Identity:
    """Add a new identity to a file, which is made if it is missing (mode 0600).

    Raises:
        InputError: as :func:`read`; the file cannot be written.
    """
    present = read(path) if path.exists() else []
    made = _new(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, _text([*present, made]), mode=0o600)
    except OSError as error:
        raise _cannot_keep(path, error) from error
    return made


def _new(name: str) -> Identity:
    return Identity(str(uuid.uuid4()), secrets.token_urlsafe(32), name)


def _text(identities: Iterable[Identity]) -> str:
    return json.dumps([asdict(each) for each in identities], indent=2) + "\n"


def _make(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(temporary, _text([_new("local client")]), mode=0o600)
        try:
            # Unlike a rename, a link leaves what another process has just made.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    except OSError as error:
        raise _cannot_keep(path, error) from error


def _cannot_keep(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot keep an identity there: {error.strerror}")
