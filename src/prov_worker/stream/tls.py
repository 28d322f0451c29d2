"""TLS of sinks whose library takes files: parameters ``ca``, ``cert`` and ``key`` of an address.

Without ``ca`` the system's certificates are believed. The server's name is checked in any case. ``cert`` and ``key``
are what this sender shows, if a server asks for a certificate; PEM all.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.files import read_private
from prov_worker.stream_url import StreamUrl

PARAMETERS = ("ca", "cert", "key")
#: Of what OpenSSL and libpq say of a certificate that they do not believe, in lower case.
_DISTRUST = (
    "certificate verify failed", "certificate_verify_failed", "does not match host name", "hostname mismatch",
    "signature failure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of files; None if there is none."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return what Python's ssl takes."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


def tls_files(url: StreamUrl, *, secure: bool, how: str) -> TlsFiles:
    """Return the files that an address names.

    Args:
        url: the address.
        secure: whether it is with TLS.
        how: how an address of its kind is with TLS, for a message.

    Raises:
        InputError: one of them cannot be read or is not what it should be, is open to others although it is secret, or
            goes with another one; or there are some and no TLS.
    """
    paths = {name: url.parameters.get(name) for name in PARAMETERS}
    given = {name: str(Path(path).expanduser()) for name, path in paths.items() if path}
    if given and not secure:
        raise InputError(f"{url.text}: {', '.join(given)}: for TLS, which this address is without; {how}")
    if ("cert" in given) != ("key" in given):
        raise InputError(f"{url.text}: cert and key go together")
    if "key" in given:
        read_private(Path(given["key"]), "keys")
    files = TlsFiles(**given)
    try:
        files.context()
    except OSError as error:  # ssl.SSLError is one
        names = " or ".join(f"{name} ({path})" for name, path in given.items())
        reason = "holds no certificate, or no key, in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(f"{url.text}: {names}: {reason}") from None
    return files


def is_distrust(text: str) -> bool:
    """Return whether a message says that a server's certificate is not believed: that does not pass by itself."""
    return any(part in text.lower() for part in _DISTRUST)
