"""``redis://[USER@]HOST[:PORT][/DATABASE][?stream=KEY][&maxlen=N]``: entries of a Redis stream, by redis-py.

A stream keeps what nobody reads yet, which publish and subscribe do not. ``rediss://`` is with TLS
(:mod:`prov_worker.stream.tls`). An entry has the fields ``id``, ``type`` and ``event``, the whole event in JSON. https://redis.io/docs/latest/develop/data-types/streams/
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from prov_worker.errors import InputError
from prov_worker.processes import host_name
from prov_worker.stream import tls
from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError, check_parameters, clock_offset, need
from prov_worker.stream_url import SINKS, StreamUrl

_STREAM = "prov_worker"


class RedisSink:
    """Appends to a stream; after a kill the last batch may be there twice, known by the ids of its events."""

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._redis = need("redis", url.sink)
        parameters = check_parameters(url, ("stream", "maxlen", *tls.PARAMETERS))
        self._key = parameters.get("stream") or _STREAM
        most = parameters.get("maxlen")
        if most is not None and not (most.isdigit() and int(most)):
            raise InputError(f"{url.text}: maxlen: expected a number of entries, got {most!r}")
        self._most = int(most) if most else None
        self._address = urlunsplit(urlsplit(url.text)._replace(query=""))
        self._options: dict[str, Any] = {} if password is None else {"password": password}
        secure = url.scheme == "rediss"
        files = tls.tls_files(url, secure=secure, how="begin it with rediss://")
        if secure:
            self._options |= {
                "ssl_ca_certs": files.ca, "ssl_certfile": files.cert, "ssl_keyfile": files.key,
                "ssl_check_hostname": True,  # which redis-py before 6 does not by itself
            }  # fmt: skip
        self._client: Any = None

    def open(self) -> None:
        """Connect."""
        client = self._redis.Redis.from_url(
            self._address,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            **self._options,
        )
        with self._refusals(), contextlib.ExitStack() as stack:
            stack.callback(client.close)
            client.ping()
            stack.pop_all()
        self._client = client

    def send(self, events: Sequence[Event]) -> None:
        """Append a batch in one transaction: all of it or nothing."""
        with self._refusals(), self._client.pipeline(transaction=True) as pipeline:
            for event in events:
                fields = {"id": event.id, "type": event.kind, "event": event.line}
                pipeline.xadd(self._key, fields, maxlen=self._most, approximate=True)
            pipeline.execute()

    def compare_clocks(self) -> None:
        """Note the difference between Redis' clock and this node's: in the hash ``<stream>:clock``, by host."""
        with self._refusals():
            offset_s, within_s = clock_offset(self._time)
            note = {"time": round(time.time(), 3), "offset_s": offset_s, "within_s": within_s}
            self._client.hset(f"{self._key}:clock", host_name(), json.dumps(note))

    def _time(self) -> float:
        seconds, microseconds = self._client.time()
        return float(seconds + microseconds / 1e6)

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(self._redis.RedisError, OSError):
                client.close()

    @contextlib.contextmanager
    def _refusals(self) -> Any:
        """Tell what passes by itself from what somebody must see to."""
        errors = self._redis.exceptions
        try:
            yield
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise RefusedError(str(error)) from error
        except (errors.ConnectionError, errors.TimeoutError, OSError) as error:
            text = str(error)
            raise (RefusedError(text) if tls.is_distrust(text) else AwayError(text)) from error
        except errors.ResponseError as error:
            text = str(error)
            if text.startswith(("NOAUTH", "WRONGPASS", "WRONGTYPE", "NOPERM", "ERR")):
                raise RefusedError(text) from error
            raise AwayError(text) from error  # OOM, LOADING, READONLY, MISCONF, EXECABORT: these pass
        except errors.RedisError as error:
            raise AwayError(str(error)) from error


SINKS.add("redis", RedisSink)
