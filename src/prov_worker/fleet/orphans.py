"""Interchanges, managers and workers without an engine: of an endpoint, and of others, which are never touched."""

from __future__ import annotations

from collections.abc import Iterable

from prov_worker.errors import InputError
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.globus import orphans
from prov_worker.globus.orphans import PoolProcess


def of(spec: EndpointSpec, pool: Iterable[PoolProcess]) -> tuple[str, ...]:
    """Return those of an endpoint of this host, in words.

    Args:
        spec: the endpoint.
        pool: processes of executors on this host.
    """
    folder = ManagedEndpoint(spec)
    try:
        return () if folder.foreign() is not None else tuple(str(part) for part in folder.orphans(pool))
    except InputError:
        return ()  # its marker is damaged, and its status says so


def foreign(fleet: Fleet, pool: Iterable[PoolProcess] | None = None) -> list[PoolProcess]:
    """Return interchanges and managers of this host whose engine is gone, and that no endpoint of the fleet has left.

    Args:
        fleet: the file.
        pool: processes of executors, if they have been looked for already.
    """
    pool = orphans.pool_processes() if pool is None else list(pool)
    directories = [user.directory for spec in fleet.endpoints for user in ManagedEndpoint(spec).user_endpoints()]
    return [
        part
        for part in orphans.without_engine(pool)
        if part.kind != "worker" and not any(orphans.is_in(part, directory) for directory in directories)
    ]
