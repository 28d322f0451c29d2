"""What a request passes before its body is read: who asks, how large it may be, and whether there is space for it.

A framework reads the body first and asks afterwards: whoever reaches the port could fill the memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from prov_worker.localservice import answers, apierrors
from prov_worker.localservice.routes.choices import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from prov_worker.localservice.service import Service

#: Routes that ask for no token: a monitor's, and those of logins, which look at a secret themselves.
OPEN = frozenset(
    {"/", "/health", "/live", "/metrics", "/openapi.json", "/v2/version", "/v2/oauth2/token", "/v2/oauth2/token/revoke"}
)
#: Paths that begin so are open in the same way: a person's browser logs in there.
_OPEN_BELOW = "/crates/"
#: Bytes of a body without a token: more than the form of a login has.
_OPEN_BYTES = 64 * 1024
#: A client that still sends while it is refused gets the answer if what it sends is taken for so long.
_LINGER_S = 2.0
#: A request waits for so long while others take the space for bodies.
_PATIENCE_S = 30.0


class _TooLargeError(Exception):
    pass


class Gate:
    """Answers 401, 413, 421 and 503 before a body is read.

    Args:
        app: what comes behind.
        service: whose tokens are asked for, and whose limits hold.
        routes: of the service.
    """

    def __init__(self, app: ASGIApp, service: Service, routes: list[Any]) -> None:
        self._app = app
        self._service = service
        self._routes = routes
        limit = service.config.body_limit_bytes
        self._bodies = _Room(2 * limit, limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        owner = await self._owner(headers)
        authority = headers.get(b"host", b"").decode("latin-1")
        if owner is None and not self._service.config.is_called(authority):
            await _refuse(scope, receive, send, 421, f"{authority[:200]} is not a name of this service")
            return
        if owner is None and self._is_protected(scope):
            await _refuse(scope, receive, send, 401, apierrors.NO_TOKEN, apierrors.NO_TOKEN_HEADERS)
            return
        limit = _OPEN_BYTES if owner is None else self._service.config.body_limit_bytes
        length = headers.get(b"content-length", b"")
        size = int(length[:20]) if length.isdigit() else limit if b"transfer-encoding" in headers else 0
        if size > limit:
            await _refuse(scope, receive, send, 413, f"the body has {size} bytes; at most {limit} are taken")
            return
        try:
            async with self._bodies.take(owner, size) if size > _OPEN_BYTES else _nothing():
                await self._pass(scope, receive, send, limit)
        except asyncio.TimeoutError:
            reason = "other requests take the space for bodies; try again"
            await _refuse(scope, receive, send, 503, reason, {"Retry-After": "5"})

    async def _owner(self, headers: dict[bytes, bytes]) -> str | None:
        """Return who asks by a valid token."""
        scheme, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        token = self._service.signer.read(text.strip(), time.time()) if scheme.lower() == "bearer" else None
        if token is None or await run_in_threadpool(self._service.storage.revoked, token.token_id):
            return None
        return token.identity.client_id

    def _is_protected(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in OPEN or path.startswith((f"{PREFIX}/", _OPEN_BELOW)):
            return False
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        seen, begun, exceeded = 0, False, False

        async def counted() -> Message:
            nonlocal seen, exceeded
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    exceeded = True
                    raise _TooLargeError
            return message

        async def sending(message: Message) -> None:
            nonlocal begun
            # What the application makes of an interrupted body is not the answer.
            if not exceeded or begun:
                begun = True
                await send(message)

        try:
            await self._app(scope, counted, sending)
        except _TooLargeError:
            pass
        if exceeded and not begun:
            await _refuse(scope, receive, send, 413, f"the body has more than {limit} bytes; no more are taken")


class _Room:
    """Bytes that bodies under way may take, of all requests and of those of one identity."""

    def __init__(self, all_bytes: int, owner_bytes: int) -> None:
        self._all, self._each = all_bytes, owner_bytes
        self._taken: dict[str | None, int] = {}
        self._changed: asyncio.Condition | None = None

    @asynccontextmanager
    async def take(self, owner: str | None, size: int) -> AsyncIterator[None]:
        """Wait until there is space for a body, and hold it.

        Raises:
            asyncio.TimeoutError: there is none for half a minute.
        """
        changed = self._changed = self._changed or asyncio.Condition()

        def fits() -> bool:
            return sum(self._taken.values()) + size <= self._all and self._taken.get(owner, 0) + size <= self._each

        async def wait() -> None:
            async with changed:
                await changed.wait_for(fits)
                self._taken[owner] = self._taken.get(owner, 0) + size

        await asyncio.wait_for(wait(), _PATIENCE_S)
        try:
            yield
        finally:
            self._taken[owner] -= size
            if not self._taken[owner]:
                del self._taken[owner]
            async with changed:
                changed.notify_all()


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, reason: str, more: dict[str, str] | None = None
) -> None:
    """Answer an error, close the connection, and until then drop what still comes."""
    body = answers.body_for(scope["path"])
    content = json.dumps(body(status, reason)).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
        **(more or {}),
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    # All of the answer: the client has it, while the connection is open still.
    await send({"type": "http.response.body", "body": content, "more_body": True})
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_drop(receive), _LINGER_S)
    await send({"type": "http.response.body", "body": b""})


async def _drop(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
