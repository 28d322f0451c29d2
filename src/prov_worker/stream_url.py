"""Addresses that events are streamed to, and what must not be in them.

Standard library only: settings, and so workers, check them. What sends to them is :mod:`prov_worker.stream`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from prov_worker.registry import Registry

#: What makes each sink, by its name. A sink registers itself in its own file.
SINKS: Registry[Any] = Registry("prov_worker.stream.sinks", named=True)
#: Other schemes that a sink takes.
ALIASES = {"amqps": "amqp", "postgres": "postgresql", "rediss": "redis"}
#: Sinks whose address is a path.
PATHS = ("jsonl", "sqlite")
#: Variable of the password for an address, without the address's number, which begins at 1.
PASSWORD = "PROV_WORKER_STREAM_PASSWORD_"  # noqa: S105 - the name of a variable
#: Parameter of an address that names a private file with the password.
PASSWORD_FILE = "password_file"  # noqa: S105 - the name of a parameter
_SECRET = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")


@dataclass(frozen=True, slots=True)
class StreamUrl:
    """One address.

    Attributes:
        text: as it was given; it has no password.
        number: its place in the list that it was given in, from 1 on.
    """

    text: str
    number: int = 1

    @property
    def scheme(self) -> str:
        """What stands before the first colon."""
        return self.text.partition(":")[0]

    @property
    def sink(self) -> str:
        """Name of the sink."""
        return ALIASES.get(self.scheme, self.scheme)

    @property
    def path(self) -> str:
        """What stands after the first colon: the path of a file."""
        return self.text.partition(":")[2]

    @property
    def variable(self) -> str:
        """Name of the variable that may have the password."""
        return f"{PASSWORD}{self.number}"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters after the question mark."""
        return dict(parse_qsl(urlsplit(self.text).query, keep_blank_values=True))


def stream_urls(texts: Any) -> tuple[StreamUrl, ...]:
    """Check addresses, and number them from 1 on; no sink is imported, and nothing is connected to.

    Raises:
        ValueError: one of them is none, of an unknown scheme, or has a password in it, which the message leaves out.
    """
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("expected a list of addresses")
    if len(set(texts)) != len(texts):
        raise ValueError("an address is given twice")
    urls = tuple(StreamUrl(text, number) for number, text in enumerate(texts, 1))
    for url in urls:
        _check(url)
    return urls


def _check(url: StreamUrl) -> None:
    if not _SCHEME.match(url.scheme) or ":" not in url.text:
        raise ValueError(f"address {url.number} has no scheme; expected {_schemes()}")
    if url.sink not in SINKS.names():
        raise ValueError(f"unknown scheme {url.scheme!r}; expected {_schemes()}")
    if any(ord(character) < 32 for character in url.text):
        raise ValueError(f"address {url.number} has control characters")
    if url.sink in PATHS:
        if not url.path or url.path.startswith("//"):
            raise ValueError(f"expected {url.scheme}:PATH, got {url.text!r}")
        return
    try:
        parts = urlsplit(url.text)
        secret = parts.password is not None
        if url.sink != "kafka":  # which may have several hosts
            _ = parts.port
    except ValueError:
        # what stands in the place of a port may be part of a password
        raise ValueError(f"the {url.scheme} address (number {url.number}) has no valid host and port") from None
    secret = secret or any(_SECRET.search(key) and key != PASSWORD_FILE for key in url.parameters)
    if secret or parts.fragment:
        raise ValueError(
            f"the {url.scheme} address (number {url.number}) has a password in it; put it into the variable "
            f"{url.variable}, or into a private file that the parameter {PASSWORD_FILE} names"
        )
    if not parts.hostname and url.sink != "postgresql":  # which may be reached by its socket
        raise ValueError(f"expected {url.scheme}://HOST/…, got {url.text!r}")


def _schemes() -> str:
    names = SINKS.names()
    return ", ".join(sorted({*names, *(scheme for scheme, sink in ALIASES.items() if sink in names)}))
