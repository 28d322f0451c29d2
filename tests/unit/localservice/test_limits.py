"""What strangers on the machine cannot take from the others: memory, connections, logins, the log."""

from __future__ import annotations

import asyncio
import logging
import re
import resource
import select
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from web_client import ALICE, BOB, BODY_LIMIT, CONNECTION_LIMIT, Web

from prov_worker.localservice import connections, gate, logins
from prov_worker.localservice.connections import most_connections
from prov_worker.localservice.identities import Identities
from prov_worker.localservice.logins import Logins, SlowDownError
from prov_worker.localservice.lograte import LineRate

PROTECTED = "/v3/functions"


@contextmanager
def connected(web: Web, *lines: str) -> Iterator[socket.socket]:
    """A connection that has sent the head of a request, or a part of it."""
    with closing(socket.create_connection(("127.0.0.1", web.port), 60)) as client:
        client.sendall("".join(f"{line}\r\n" for line in lines).encode())
        yield client


def everything(client: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    received = b""
    try:
        while data := client.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("length", ["Content-Length: 31000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("more", [[], ["Authorization: Bearer x.y"], ["Authorization: Basic eDp5"]])
def test_a_body_is_not_waited_for_without_a_token(web: Web, length: str, more: list[str]) -> None:
    with connected(web, f"POST {PROTECTED} HTTP/1.1", "Host: x", length, *more, "") as client:
        assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("path", ["/health", "/metrics", "/openapi.json", "/", "/v2/oauth2/token"])
@pytest.mark.parametrize(
    ("host", "answered"),
    [("evil.example:5000", False), ("evil.example.", False), ("a.b:5", False), ("localhost:5000", True),
     ("127.0.0.1", True), ("[::1]:5000", True), ("[::1]", True), ("service:5000", True), ("", True)],
)  # fmt: skip
def test_what_needs_no_token_is_not_told_under_another_name(web: Web, path: str, host: str, answered: bool) -> None:
    """As a web page asks that has its own name lead to loopback."""
    with connected(web, f"GET {path} HTTP/1.1", f"Host: {host}", "") as client:
        assert (client.recv(65_536).split()[1] != b"421") == answered


def test_a_client_that_sends_all_of_it_gets_the_answer(web: Web) -> None:
    status, content, _ = web.ask("POST", PROTECTED, raw=b"x" * 20_000_000)
    assert (status, content["reason"]) == (401, "the access token is missing, expired or not valid here")


@pytest.mark.parametrize("path", ["/v2/oauth2/token", "/health", "/nowhere"])
def test_bodies_of_open_routes_are_small(web: Web, path: str) -> None:
    with connected(web, f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 65537", "") as client:
        assert client.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_both_numbers_of_a_body_that_is_too_large(web: Web) -> None:
    status, content, _ = web.ask("POST", PROTECTED, headers=web.bearer(ALICE), raw=b"x" * (BODY_LIMIT + 1))
    assert (status, content["reason"]) == (413, f"the body has {BODY_LIMIT + 1} bytes; at most {BODY_LIMIT} are taken")


def longest(parameter: dict[str, Any]) -> str:
    """The value of a parameter that takes most bytes in a query, of those that the service's description allows."""
    schema = parameter["schema"]
    text = "0" * (schema["maxLength"] - 2) + ", " if "pattern" in schema else "\U0010ffff" * schema["maxLength"]
    assert re.search(schema.get("pattern", ""), text)
    return text


def test_lists_of_identities_fit_into_a_head_however_long_they_may_be(web: Web) -> None:
    """The longest that are allowed, in a head that comes in pieces: what has no end yet is not kept without limit."""
    operation = web.ask("GET", "/openapi.json")[1]["paths"]["/v2/api/identities"]["get"]
    values = {each["name"]: longest(each) for each in operation["parameters"] if each["in"] == "query"}
    assert values.keys() == {"ids", "usernames"}
    headers = web.bearer(ALICE, "openid")
    lines = (
        f"GET /v2/api/identities?{urllib.parse.urlencode(values)} HTTP/1.1", f"Host: {'h' * 253}:65535",
        *(f"{name}: {value}" for name, value in headers.items()), "Connection: close", "",
    )  # fmt: skip
    head = "".join(f"{line}\r\n" for line in lines).encode()
    with closing(socket.create_connection(("127.0.0.1", web.port), 60)) as client:
        for at in range(0, len(head), 8192):
            client.sendall(head[at : at + 8192])
            answered, _, _ = select.select([client], [], [], 0.02)
            assert not answered or at + 8192 >= len(head), client.recv(65_536)
        received = everything(client)
    assert received.startswith(b"HTTP/1.1 200 "), received[:300]
    assert received.endswith(b'{"identities":[]}')
    for wrong in ({"ids": "é"}, {"usernames": "x" * (len(values["usernames"]) + 1)}):
        assert web.ask("GET", f"/v2/api/identities?{urllib.parse.urlencode(wrong)}", headers=headers)[0] == 422


def test_a_revoked_token_opens_nothing(web: Web) -> None:
    token = web.token(ALICE)
    form = {**web.basic(ALICE), "Content-Type": "application/x-www-form-urlencoded"}
    assert web.ask("POST", "/v2/oauth2/token/revoke", headers=form, raw=f"token={token}".encode())[0] == 200
    head = f"POST {PROTECTED} HTTP/1.1", "Host: x", "Content-Length: 9", f"Authorization: Bearer {token}", ""
    with connected(web, *head) as client:
        assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_connections_that_send_nothing_make_room(web: Web) -> None:
    clients = [socket.create_connection(("127.0.0.1", web.port), 60) for _ in range(3 * CONNECTION_LIMIT)]
    try:
        for _ in range(5):
            assert web.ask("GET", "/health")[1]["storage"] == "up"
        for client in clients[: 2 * CONNECTION_LIMIT]:
            assert everything(client) == b""
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "lines", [[], ["GET /health HTTP/1.1"], ["GET /health HTTP/1.1", "Host: x", ""] * 2 + ["GET"]], ids=len
)
def test_a_head_has_to_come(web: Web, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    with connected(web, *lines) as client:
        assert everything(client).count(b"HTTP/1.1 503 ") == (2 if len(lines) > 1 else 0)


@pytest.mark.parametrize("limit", ["PAUSE_S", "BODY_S"])
def test_a_body_has_to_come(web: Web, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    head = [f"POST {PROTECTED} HTTP/1.1", "Host: x", "Content-Length: 9", "Content-Type: application/json"]
    token = web.bearer(ALICE)["Authorization"]
    monkeypatch.setattr(connections, limit, 0.2)
    with connected(web, *head, f"Authorization: {token}", "", "{") as client:
        assert everything(client) == b""


def test_an_answer_has_to_be_taken(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PAUSE_S", 0.2)
    with connected(web) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        requests = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
        with pytest.raises(ConnectionError):
            client.sendall(requests * 1000)


def test_as_many_connections_as_there_are_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(448, 448)]
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limit: limits.append(limit))
    assert (most_connections(1000, 1), most_connections(1000, 2)) == (192, 96)
    limits.append((256, 256))
    assert most_connections(1000, 1) == 8, "it starts all the same"
    limits.append((256, 4096))
    assert (most_connections(1000, 2), limits[-1]) == (1000, (2256, 4096))


def test_bodies_of_one_identity_leave_room_for_others() -> None:
    room = gate._Room(200, 100)

    async def hold(owner: str, size: int, begun: asyncio.Event, end: asyncio.Event) -> None:
        async with room.take(owner, size):
            begun.set()
            await end.wait()

    async def run() -> None:
        end, events = asyncio.Event(), [asyncio.Event() for _ in range(3)]
        first = asyncio.ensure_future(hold("alice", 80, events[0], end))
        await events[0].wait()
        second = asyncio.ensure_future(hold("alice", 80, events[1], end))
        third = asyncio.ensure_future(hold("bob", 80, events[2], end))
        await events[2].wait()
        assert not events[1].is_set()
        end.set()
        await asyncio.gather(first, second, third)
        assert room._taken == {}

    asyncio.run(run())


def test_no_room_is_an_answer(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_PATIENCE_S", 0.2)
    token = f"Authorization: {web.bearer(ALICE)['Authorization']}"
    head = f"POST {PROTECTED} HTTP/1.1", "Host: x", f"Content-Length: {BODY_LIMIT}", token, ""
    with connected(web, *head) as first, connected(web, *head) as second:
        # Whichever comes second: which that is, is not settled by the order of their connections.
        (refused, *_), _, _ = select.select([first, second], [], [], 60)
        assert refused.recv(65_536).startswith(b"HTTP/1.1 503 ")
        other = f"Authorization: {web.bearer(BOB)['Authorization']}"
        with connected(web, *head[:3], other, "", "x" * BODY_LIMIT) as client:
            assert client.recv(65_536).startswith(b"HTTP/1.1 4")


def test_wrong_secrets_are_slowed_and_right_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_FIRST_S", 0.001)
    monkeypatch.setattr(logins, "_QUEUE_S", 0.01)
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    desk = Logins(Identities([ALICE, BOB]))

    async def guess(client_id: str, secret: str) -> object:
        try:
            return await desk.authenticate("127.0.0.1", client_id, secret)
        except SlowDownError as error:
            return error

    async def run() -> None:
        answers = [await guess(ALICE.client_id, f"wrong {number}") for number in range(100)]
        refused = [each for each in answers if isinstance(each, SlowDownError)]
        assert 80 < len(refused) < 99
        assert waits == sorted(waits)
        assert await guess(ALICE.client_id, ALICE.client_secret) == ALICE
        assert await guess(BOB.client_id, "wrong") is None, "another client has its own count"
        unknown = [await guess(f"nobody {number}", "x") for number in range(100)]
        assert any(isinstance(each, SlowDownError) for each in unknown), "ids that do not exist count as one"
        assert len(desk._failures) == 3

    asyncio.run(run())


def test_logins_of_both_kinds_say_when_to_try_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_QUEUE_S", -1.0)
    for method, path in (("POST", "/v2/oauth2/token"), ("GET", "/")):
        web.ask(method, path, headers=web.basic(ALICE, "wrong"))
        status, _, headers = web.ask(method, path, headers=web.basic(ALICE, "wrong"))
        assert (status, headers["retry-after"]) == (429, "1")
        assert web.ask(method, path, headers=web.basic(ALICE))[0] in (200, 400)


def test_lines_of_the_log_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("somebody.else")
    log.addFilter(rate := LineRate(per_s=0.0, at_once=5.0))
    try:
        for number in range(100):
            log.warning("line %d", number)
        rate._left = 1.0
        log.warning("%d more", 1)
    finally:
        log.removeFilter(rate)
    assert caplog.messages[:5] == [f"line {number}" for number in range(5)]
    assert caplog.messages[5:] == ["[95 lines were left out: more than 0 a second] 1 more"]
