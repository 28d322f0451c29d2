"""Running the service: one process, one port, until a signal ends it."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn

from prov_worker.errors import InputError
from prov_worker.localservice import identities as identities_module
from prov_worker.localservice.app import create_app
from prov_worker.localservice.config import Config
from prov_worker.localservice.identities import Identities
from prov_worker.localservice.service import Service
from prov_worker.localservice.sqlite import SqliteStorage

_log = logging.getLogger(__name__)
_STOP_S = 10
#: Bytes of a request line and headers; beyond, a request is answered before the application sees it.
_HEAD_LIMIT_BYTES = 512 * 1024


def load_identities(config: Config, environ: dict[str, str]) -> Identities:
    """The identities that a configuration names.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    return identities_module.load(config.identities, config.identities_default, environ)


def listen(config: Config) -> socket.socket:
    """The listening socket; what comes meanwhile waits.

    Raises:
        InputError: the address is taken, or is none of this machine's.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise InputError(f"--host {config.host} --port {config.port}: cannot listen there: {error.strerror}") from error
    listener.set_inheritable(False)
    return listener


def run(config: Config, environ: dict[str, str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: see :func:`listen`, :func:`load_identities`, and the database.
    """
    listener = listen(config)
    try:
        identities = load_identities(config, environ)
        service = Service(config, SqliteStorage(config.database), identities)
        options: dict[str, Any] = {}
        if config.carries_amqp:
            from prov_worker.localservice.proxy import protocol_for

            options["http"] = protocol_for(config.amqp_url)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(service),
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_STOP_S,
                h11_max_incomplete_event_size=_HEAD_LIMIT_BYTES,
                **options,
            )
        )
        _log.info("listening on %s for %d identities; state in %s", config.url, len(identities), config.database)
        server.run(sockets=[listener])
    finally:
        listener.close()
