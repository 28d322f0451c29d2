"""What stand-ins of web services have in common: JSON over HTTP on a free port of loopback, in a thread."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its path without query, the first value of each part of the query, its body and who asks.

    Bytes of the body that are no UTF-8 are lone surrogates (PEP 383).
    """

    method: str
    path: str
    query: dict[str, str]
    body: str
    authorization: str


class HttpService(ABC):
    """A service that runs until it is closed.

    Attributes:
        url: where it answers.
    """

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @abstractmethod
    def answer(self, request: Request) -> tuple[int, Any]:
        """Return status and JSON."""


class _Handler(BaseHTTPRequestHandler):
    service: HttpService

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="surrogateescape")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        given = self.headers.get("Authorization") or self.headers.get("X-Dataverse-key", "")
        status, data = self.service.answer(Request(self.command, url.path, query, body, given))
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *args: object) -> None:
        """Nothing: the tests say what went wrong."""
