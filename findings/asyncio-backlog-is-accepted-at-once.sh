#!/usr/bin/env bash
# CPython 3.10 to 3.13, asyncio: a server accepts as many connections as its backlog in one go, before the first of their
# protocols hears of it.
#
# `backlog` of loop.create_server is documented as "the maximum number of queued connections passed to listen()". It is also
# the number of times that the loop calls accept() before it runs anything else. So a protocol that closes connections in
# connection_made, because there are too many, comes too late: with a backlog of 2048 (uvicorn's default) and fewer
# descriptors than that, none is left by then, asyncio logs an error and does not accept for a second, over and over.
# A small backlog there, and listen() again with a larger one once the server runs, gives both.
#
# Seen:
#   backlog 100: 100 or more accepted before the first connection_made
#   backlog 10: fewer than 25
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/run.py" <<'PY'
import asyncio
import os
import socket
import sys


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class First(asyncio.Protocol):
    """Counts what is open when the first connection is made."""

    seen: "asyncio.Future[int]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.seen.done():
            self.seen.set_result(descriptors())
        transport.close()


async def accepted(backlog: int) -> int:
    loop = asyncio.get_running_loop()
    First.seen = loop.create_future()
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    # All of them wait in the kernel before the loop looks for the first time.
    clients = [socket.create_connection(listener.getsockname()) for _ in range(150)]
    before = descriptors()
    server = await loop.create_server(First, sock=listener, backlog=backlog)
    number = await First.seen - before
    await asyncio.sleep(0.5)  # the others are closed
    server.close()
    for client in clients:
        client.close()
    return number


large, small = (asyncio.run(accepted(backlog)) for backlog in (100, 10))
print(f"Python {sys.version.split()[0]}: backlog 100: {large} accepted before the first connection_made; backlog 10: {small}")
sys.exit(not (large >= 100 and small < 25))
PY
"${PYTHON:-python3}" "$work/run.py"
