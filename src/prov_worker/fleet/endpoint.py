"""One endpoint as its directory and ``/proc`` show it: whose it is, whether its daemon runs, what earlier runs left.

User endpoints of a daemon live in ``uep.<endpoint id>.<id>`` beside it, with a pid file each.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from prov_worker.errors import InputError
from prov_worker.fleet.fleetfile import EndpointSpec, is_here, read, real
from prov_worker.globus import daemons, orphans, processes
from prov_worker.globus.daemons import Core
from prov_worker.globus.orphans import PoolProcess
from prov_worker.sites.install import DamagedError, marker_of

#: Where Globus Compute and prov-worker keep what a daemon prints until it has a log.
CONSOLE = "console.log"


@dataclass(frozen=True, slots=True)
class UserEndpoint:
    """A user endpoint's directory, and its process if it lives."""

    directory: Path
    process: psutil.Process | None


class ManagedEndpoint:
    """The directory of an endpoint of the fleet."""

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.directory = spec.directory

    @property
    def pid_file(self) -> Path:
        """Of the daemon."""
        return self.directory / daemons.PID_FILE

    @property
    def console(self) -> Path:
        """What the daemon printed."""
        return self.directory / CONSOLE

    @property
    def log(self) -> Path:
        """The daemon's."""
        return self.directory / "endpoint.log"

    @property
    def endpoint_id(self) -> str | None:
        """At the web service; None before the first start."""
        try:
            document = json.loads((self.directory / "endpoint.json").read_text(encoding="utf-8"))
            return str(document["endpoint_id"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def marker(self) -> dict[str, Any] | None:
        """Return what was noted when the directory was made by this package; None if it was not.

        Raises:
            DamagedError: it cannot be understood.
            InputError: it cannot be read.
        """
        try:
            return marker_of(self.directory)
        except DamagedError as error:
            remedy = f"prov-worker fleet up --take-over {self.spec.name}"
            raise DamagedError(f"{error}; {remedy} keeps a copy and writes it again") from None

    def other_host(self) -> str | None:
        """Return the host that it belongs to, if that is not this one."""
        if self.spec.host is not None and not is_here(self.spec.host):
            return self.spec.host
        host = (self.marker() or {}).get("host")
        return str(host) if host and not is_here(str(host)) else None

    def owner(self) -> dict[str, Any]:
        """Return what an ``up`` of a fleet has noted: ``fleet``, its file; ``made``, whether it made the directory."""
        owner = (self.marker() or {}).get("owner")
        return owner if isinstance(owner, dict) else {}

    def other_fleet(self) -> Path | None:
        """Return the other fleet file that looks after it; None if it has gone, or names it no more."""
        named = self.owner().get("fleet")
        if not isinstance(named, str) or Path(named) == self.spec.file or not os.path.isfile(named):
            return None
        try:
            directories = [endpoint.directory for endpoint in read(Path(named)).endpoints]
        except InputError:
            return Path(named)  # broken for the moment: its watch goes on with what it was
        mine = real(self.directory)
        return Path(named) if any(real(directory) == mine for directory in directories) else None

    def foreign(self, *, take_over: bool = False) -> str | None:
        """Return why it is not to be touched; None if it is ours.

        Args:
            take_over: also if another fleet file looks after it.
        """
        if (host := self.other_host()) is not None:
            return f"belongs to {host}"
        if not take_over and (other := self.other_fleet()) is not None:
            return (
                f"the fleet file {other} looks after it; name that one with --file, or take it over with "
                f"prov-worker fleet up --take-over {self.spec.name}"
            )
        if self.marker() is None and self.directory.exists() and any(self.directory.iterdir()):
            return f"{self.directory} was not created by prov-worker"
        return None

    # -- the daemon ----------------------------------------------------------------------------------------------

    def core(self, seen: int | None = None) -> Core:
        """Return whether the daemon runs.

        Args:
            seen: id of the process that was started, or seen to run, on this host.
        """
        return daemons.look(self.directory, seen)

    def cores(self) -> list[psutil.Process]:
        """Return daemons of this endpoint on this host, with or without a pid file: starting, running or ending."""
        return [
            process
            for process in processes.mine()
            if daemons.is_core(process, self.spec.name) and self._has_this_directory(process)
        ]

    def _has_this_directory(self, process: psutil.Process) -> bool:
        """Return a name for logs: names may be the same in another directory of endpoints."""
        if processes.has_open_below(process, self.directory):
            return True
        home = processes.environment(process).get("GLOBUS_COMPUTE_USER_DIR")
        return home is not None and os.path.realpath(home) == os.path.realpath(self.spec.user_dir)

    # -- user endpoints ------------------------------------------------------------------------------------------

    def user_endpoints(self) -> list[UserEndpoint]:
        """Return all that this endpoint has had, the latest first."""
        identity = self.endpoint_id
        if identity is None:
            return []
        paths = [path for path in self.spec.user_dir.glob(f"uep.{identity}.*") if path.is_dir()]
        paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [UserEndpoint(path, self._user_process(path)) for path in paths]

    def _user_process(self, directory: Path) -> psutil.Process | None:
        pid = daemons.number(directory)
        process = processes.living(pid) if pid is not None else None
        return process if process is not None and _is_user_endpoint_of(process, directory) else None

    def orphans(self, pool: Iterable[PoolProcess] | None = None) -> list[PoolProcess]:
        """Return interchanges, managers and workers of user endpoints that are gone: nobody will end them.

        Args:
            pool: those of this host, if they have been looked for already.
        """
        owners = {user.directory: user.process for user in self.user_endpoints()}
        if not owners:
            return []
        gone = orphans.without_engine(orphans.pool_processes() if pool is None else pool)
        return [
            part
            for part in gone
            for directory, owner in owners.items()
            if orphans.is_in(part, directory) and (owner is None or _began_before(part.process, owner))
        ]

    def abandoned(self) -> list[psutil.Process]:
        """Return user endpoints whose daemon is gone. The caller has made sure that none runs."""
        directories = [user.directory for user in self.user_endpoints()]
        return [
            process
            for process in processes.mine()
            if daemons.is_user_endpoint(process)
            and any(_is_user_endpoint_of(process, directory) for directory in directories)
        ]

    def clean(self) -> list[str]:
        """Remove pid files of user endpoints whose process is gone: the next one would not start for 90 s.

        Only if the daemon runs here, or is known to have run here: its user endpoints are on its host.

        Returns:
            Names of the directories.
        """
        cleaned = []
        for endpoint in self.user_endpoints():
            path = endpoint.directory / daemons.PID_FILE
            try:
                # A file that is being made has no number yet.
                if endpoint.process is None and time.time() - path.stat().st_mtime > 2:
                    path.unlink()
                    cleaned.append(endpoint.directory.name)
            except FileNotFoundError:
                continue
        return cleaned


def _is_user_endpoint_of(process: psutil.Process, directory: Path) -> bool:
    if not daemons.is_user_endpoint(process):
        return False
    named = processes.environment(process).get("GLOBUS_COMPUTE_ENDPOINT_DIR")
    if named is not None and os.path.realpath(named) == os.path.realpath(directory):
        return True
    return directory.name in processes.command(process) or processes.has_open_below(process, directory)


def _began_before(process: psutil.Process, other: psutil.Process) -> bool:
    try:
        return bool(process.create_time() < other.create_time())
    except psutil.Error:
        return False
