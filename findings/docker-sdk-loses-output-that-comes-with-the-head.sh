#!/usr/bin/env bash
# docker 7.2.0 (Docker's SDK for Python): exec_start loses output that the daemon sends together with the head of its
# answer. The same output a moment later is there in full. The SDK reads the socket beneath http.client's buffer.
#
# Seen: together b'', apart b'hello\n'.
# Expected: b'hello\n' both times: the stream begins right behind the head.
# Known there: https://github.com/docker/docker-py/issues/3332
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check docker==7.2.0

"$scratch/venv/bin/python" - <<'PYTHON'
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker

HEAD = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
FRAME = struct.pack(">BxxxL", 1, 6) + b"hello\n"  # Docker Engine API, "Attach to a container", stream format


class Daemon(BaseHTTPRequestHandler):
    """Answers one exec: create, start."""

    together = True

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/start"):
            if self.together:
                self.wfile.write(HEAD + FRAME)
            else:
                self.wfile.write(HEAD)
                time.sleep(0.5)
                self.wfile.write(FRAME)
            self.close_connection = True
            return
        body = json.dumps({"Id": "e"}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.43")


def output(together):
    Daemon.together = together
    return client.exec_start(client.exec_create("c", ["echo", "hello"]))


seen = output(True), output(False)
print("docker", docker.__version__, "together", seen[0], "apart", seen[1])
assert seen == (b"", b"hello\n"), "the behaviour has changed"
PYTHON
