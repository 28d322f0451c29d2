"""Requests to a repository: JSON and files over HTTPS, with a token that no other address gets to see."""

from __future__ import annotations

import http.client
import ipaddress
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from prov_worker.errors import InputError, ProvWorkerError

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 120.0
_MAX_ANSWER_BYTES = 4 << 20


class Session:
    """A repository's address and a token for it.

    A redirection is not followed: the token is for the address that was named.

    Args:
        url: of the repository.
        header: name of the header with the token, and the text before it.
        token: the secret.

    Raises:
        InputError: the address is neither of https, nor of http on this machine.
    """

    def __init__(self, url: str, header: tuple[str, str], token: str) -> None:
        parts = urlsplit(url)
        if parts.username is not None or not parts.hostname or parts.scheme not in ("https", "http"):
            raise InputError(f"--url: expected an address such as https://zenodo.org, got {url!r}")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise InputError(f"--url: {url}: a token goes over https alone")
        self._parts = parts
        self.url = url.rstrip("/")
        self._headers = {header[0]: f"{header[1]}{token}", "Accept": "application/json"}

    def json(self, method: str, path: str, document: Any, expected: tuple[int, ...]) -> dict[str, Any]:
        """Send a document, or nothing if it is None; return the answer.

        Raises:
            ProvWorkerError: it cannot be reached, or answers otherwise than expected.
        """
        body = b"" if document is None else json.dumps(document).encode()
        return self._send(method, path, iter((body,)), len(body), "application/json", expected)

    def file(self, method: str, path: str, file: Path, expected: tuple[int, ...]) -> dict[str, Any]:
        """Send the content of a file.

        Raises:
            ProvWorkerError: as of :meth:`json`.
        """
        return self._send(method, path, _blocks(file), file.stat().st_size, "application/octet-stream", expected)

    def form(
        self, path: str, fields: Mapping[str, str], name: str, file: Path, file_name: str, expected: tuple[int, ...]
    ) -> dict[str, Any]:
        """Post a form with a file (``multipart/form-data``, RFC 7578).

        Raises:
            ProvWorkerError: as of :meth:`json`.
        """
        boundary = uuid.uuid4().hex
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{quote(file_name)}"\r\n'
        head += "Content-Type: application/zip\r\n\r\n"
        begin, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        length = len(begin) + file.stat().st_size + len(end)

        def body() -> Iterator[bytes]:
            yield begin
            yield from _blocks(file)
            yield end

        return self._send("POST", path, body(), length, f"multipart/form-data; boundary={boundary}", expected)

    def _send(
        self, method: str, path: str, body: Iterator[bytes], length: int, media_type: str, expected: tuple[int, ...]
    ) -> dict[str, Any]:
        parts = self._parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=_TIMEOUT_S)
        headers = {**self._headers, "Content-Type": media_type, "Content-Length": str(length)}
        place = f"{self.url}{path.partition('?')[0]}"
        try:
            connection.request(method, f"{parts.path.rstrip('/')}{path}", body, headers)
            response = connection.getresponse()
            data = response.read(_MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise ProvWorkerError(f"{place}: cannot be reached: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if response.status not in expected:
            text = " ".join(data.decode(errors="replace").split())[:300]
            raise ProvWorkerError(f"{place}: answered {response.status} {response.reason}: {text}")
        try:
            answer = json.loads(data) if data.strip() else {}
        except ValueError:
            raise ProvWorkerError(f"{place}: answered what is not JSON") from None
        return answer if isinstance(answer, dict) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def text_at(answer: Mapping[str, Any], *keys: str) -> str:
    """Return a text or a number in an answer, as text.

    Raises:
        ProvWorkerError: it is not there.
    """
    value: Any = answer
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, (str, int)):
        raise ProvWorkerError(f"the answer has no {'.'.join(keys)}")
    return str(value)
