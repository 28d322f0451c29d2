"""What every request passes: a limit on its body, and counting."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from prov_worker.localservice import apierrors

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from prov_worker.localservice.metrics import Metrics


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Answers 413 to a body over the limit, whether its length was announced or not."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > self._limit:
                await self._refuse(send)
                return
        seen, begun, exceeded = 0, False, False

        async def counted() -> Message:
            nonlocal seen, exceeded
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
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
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        content = json.dumps(apierrors.body(413, f"the body is larger than {self._limit} bytes")).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Counting:
    """Counts requests by route, never by path: a path holds ids."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begin = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"
            self._metrics.add("prov_service_requests_total", route=route, method=method, status=str(status))
            self._metrics.add("prov_service_request_seconds_total", time.perf_counter() - begin, route=route)
