"""``prov-worker service status``: what does not answer is said in one plain line."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from prov_worker.cli.main import run

pytest.importorskip("fastapi")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def another_server() -> Iterator[int]:
    """A server on a free port that answers all with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p>another</p>")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_that_runs_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    port = str(free_port())
    assert run(["service", "status", "--port", port]) == 1
    out = capsys.readouterr().out
    assert out.endswith(" status: unreachable, reason: nothing answers there; prov-worker service run starts one\n")
    assert (port in out, out.count("\n"), "Pool" in out) == (True, 1, False)
    assert run(["service", "status", "--port", port, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "unreachable"


def test_another_program_at_the_port_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with another_server() as port:
        assert run(["service", "status", "--port", str(port)]) == 1
    assert capsys.readouterr().out.endswith("reason: what answers there is not a prov-worker service\n")
