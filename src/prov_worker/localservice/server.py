"""Running the service: one process, one port, until a signal ends it."""

from __future__ import annotations

import errno
import logging
import socket

import uvicorn

from prov_worker.errors import InputError
from prov_worker.localservice import identities as identities_module
from prov_worker.localservice.app import create_app
from prov_worker.localservice.config import Config
from prov_worker.localservice.connections import Connections, LimitedProtocol, most_connections, protocol_for
from prov_worker.localservice.identities import Identities
from prov_worker.localservice.service import Service
from prov_worker.localservice.sqlite import SqliteStorage

_log = logging.getLogger(__name__)
_STOP_S = 10
#: Connections that wait in the kernel, and those of each listener that are taken between two looks at the others.
_BACKLOG, ACCEPTED_AT_ONCE = 2048, 16
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
#: Bytes of a request line and headers; beyond, a request is answered before the application sees it.
_HEAD_LIMIT_BYTES = 64 * 1024


def load_identities(config: Config, environ: dict[str, str]) -> Identities:
    """Return the identities that a configuration names.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    return identities_module.load(config.identities, config.identities_default, environ)


def listen(config: Config) -> list[socket.socket]:
    """Return the listening sockets, one per address; what comes meanwhile waits.

    Stock software asks ``localhost``, which is 127.0.0.1 or ::1: another user who had the other one of them would be
    given secrets. So the service has both before it does anything else, and does not start with less.

    Raises:
        InputError: an address is taken, or the host asked for is not one of this machine's.
    """
    listeners: list[socket.socket] = []
    try:
        for address in config.addresses:
            try:
                listeners.append(_listener(address, config.port))
            except OSError as error:
                if address != config.host and error.errno in _NO_SUCH_ADDRESS:
                    _log.info("this machine has no %s: not listening there", address)
                    continue
                shown = f"[{address}]" if ":" in address else address
                raise InputError(
                    f"--host {config.host} --port {config.port}: cannot listen on {shown}: {error.strerror}"
                ) from error
    except BaseException:
        _close(listeners)
        raise
    return listeners


def _listener(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        listener.bind(address)
        # A bound port that nobody listens on yet may be bound by others too.
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener


def _close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def protocol(config: Config, connections: Connections) -> type[LimitedProtocol]:
    """Return what is spoken on the port."""
    if config.carries_amqp:
        from prov_worker.localservice import proxy

        return proxy.protocol_for(config.amqp_url, connections)
    return protocol_for(connections)


def server_config(service: Service, http: type[LimitedProtocol]) -> uvicorn.Config:
    """Return how requests of a service are taken: what is spoken, and the limits of it."""
    return uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_STOP_S,
        backlog=ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=_HEAD_LIMIT_BYTES,
        http=http,
    )


class _Server(uvicorn.Server):
    """Takes few connections at once: asyncio accepts a whole backlog before the first of them may make space."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve; the kernel keeps more connections waiting than are taken at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)


def run(config: Config, environ: dict[str, str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: see :func:`listen`, :func:`load_identities`, and the database.
    """
    listeners = listen(config)
    try:
        identities = load_identities(config, environ)
        service = Service(config, SqliteStorage(config.database), identities)
        # A connection of AMQP has one to the broker beside it.
        most = most_connections(config.connection_limit, 2 if config.carries_amqp else 1)
        if most < config.connection_limit:
            _log.warning("at most %d connections: this process may open no more files (ulimit -n)", most)
        server = _Server(server_config(service, protocol(config, Connections(most))))
        _log.info("listening on %s for %d identities; state in %s", config.url, len(identities), config.database)
        server.run(sockets=listeners)
    finally:
        _close(listeners)
