"""One endpoint as its directory and ``/proc`` show it: whose it is, whether its daemon runs, what earlier runs left.

User endpoints of a daemon live in ``uep.<endpoint id>.<id>`` beside it, with a pid file each.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.fleet.fleetfile import EndpointSpec, is_here, read, real
from prov_worker.globus import daemons, processes
from prov_worker.globus.daemons import Core
from prov_worker.globus.processes import Process
from prov_worker.sites.install import DamagedError, marker_of

#: Where Globus Compute and prov-worker keep what a daemon prints until it has a log.
CONSOLE = "console.log"
#: Processes of a user endpoint that outlive it where it was killed.
_LEFTOVERS = ("parsl: HTEX interchange", "parsl: HTEX manager", "parsl: HTEX worker", "process_worker_pool")


@dataclass(frozen=True, slots=True)
class UserEndpoint:
    """A user endpoint's directory, and its process where it lives."""

    directory: Path
    process: Process | None


class Folder:
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
            found = json.loads((self.directory / "endpoint.json").read_text(encoding="utf-8"))
            return str(found["endpoint_id"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def marker(self) -> dict[str, Any] | None:
        """What was noted when the directory was made by this package; None where it was not.

        Raises:
            DamagedError: it cannot be understood.
            InputError: it cannot be read.
        """
        try:
            return marker_of(self.directory)
        except DamagedError as error:
            remedy = f"prov-worker fleet up --force {self.spec.name}"
            raise DamagedError(f"{error}; {remedy} keeps a copy and writes it anew") from None

    def other_host(self) -> str | None:
        """The host that it belongs to, if that is not this one."""
        if self.spec.host is not None and not is_here(self.spec.host):
            return self.spec.host
        host = (self.marker() or {}).get("host")
        return str(host) if host and not is_here(str(host)) else None

    def owner(self) -> dict[str, Any]:
        """What an ``up`` of a fleet has noted: ``fleet``, its file, and ``made``, whether it made the directory."""
        found = (self.marker() or {}).get("owner")
        return found if isinstance(found, dict) else {}

    def other_fleet(self) -> Path | None:
        """The other fleet file that looks after it; None where it has gone, or names it no more."""
        named = self.owner().get("fleet")
        if not isinstance(named, str) or Path(named) == self.spec.file or not os.path.isfile(named):
            return None
        try:
            directories = [one.directory for one in read(Path(named)).endpoints]
        except InputError:
            return Path(named)  # broken for the moment: its watch goes on with what it was
        mine = real(self.directory)
        return Path(named) if any(real(one) == mine for one in directories) else None

    def foreign(self, *, take_over: bool = False) -> str | None:
        """Why it is not to be touched; None where it is ours.

        Args:
            take_over: also where another fleet file looks after it.
        """
        if (host := self.other_host()) is not None:
            return f"belongs to {host}"
        if not take_over and (other := self.other_fleet()) is not None:
            return (
                f"the fleet file {other} looks after it; name that one with --file, or take it over with "
                f"prov-worker fleet up --force {self.spec.name}"
            )
        if self.marker() is None and self.directory.exists() and any(self.directory.iterdir()):
            return f"{self.directory} was not created by prov-worker"
        return None

    # -- the daemon ----------------------------------------------------------------------------------------------

    def core(self, known: Process | None = None) -> Core:
        """Whether the daemon runs.

        Args:
            known: the process that was started, or seen to run, on this host.
        """
        return daemons.look(self.directory, known)

    def cores(self) -> list[Process]:
        """Daemons of this endpoint on this host, with or without a pid file: starting, running or ending."""
        return [
            one for one in processes.mine() if daemons.is_core(one, self.spec.name) and self._has_this_directory(one)
        ]

    def _has_this_directory(self, process: Process) -> bool:
        """Names may be the same in another directory of endpoints."""
        if process.has_open_below(self.directory):
            return True
        home = process.environment.get("GLOBUS_COMPUTE_USER_DIR")
        return home is not None and os.path.realpath(home) == os.path.realpath(self.spec.user_dir)

    # -- user endpoints ------------------------------------------------------------------------------------------

    def user_endpoints(self) -> list[UserEndpoint]:
        """All that this endpoint has had, the latest first."""
        identity = self.endpoint_id
        if identity is None:
            return []
        found = [path for path in self.spec.user_dir.glob(f"uep.{identity}.*") if path.is_dir()]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [UserEndpoint(path, self._user_process(path)) for path in found]

    def _user_process(self, directory: Path) -> Process | None:
        pid = daemons.number(directory)
        found = processes.process(pid) if pid is not None else None
        if found is None or not daemons.is_user_endpoint(found):
            return None
        return found if directory.name in found.command or found.has_open_below(directory) else None

    def leftovers(self, *, core: Process | None) -> list[Process]:
        """Processes that earlier runs left: nobody will end them, and they keep ports and workers.

        These are user endpoints whose daemon is gone, and interchanges and workers whose user endpoint is gone, or is
        another than the one that began them. Processes on compute nodes end by themselves without an interchange.

        Args:
            core: the living daemon; None where there is none.
        """
        living = {one.directory: one.process for one in self.user_endpoints()}
        if not living:
            return []
        found = []
        for process in processes.mine():
            command = process.command
            user = daemons.is_user_endpoint(process)
            if not user and not any(mark in command for mark in _LEFTOVERS):
                continue
            home = _home(process, list(living))
            if home is None:
                continue
            owner = living[home]
            if user:
                if core is None or process.start < core.start:
                    found.append(process)
            elif owner is None or process.start < owner.start:
                found.append(process)
        return found

    def clean(self) -> list[str]:
        """Remove pid files of user endpoints whose process is gone: the next one would not start for 90 s.

        Only where the daemon runs here, or is known to have run here: its user endpoints are on its host.

        Returns:
            Names of the directories.
        """
        cleaned = []
        for one in self.user_endpoints():
            path = one.directory / daemons.PID_FILE
            try:
                # A file that is being made has no number yet.
                if one.process is None and time.time() - path.stat().st_mtime > 2:
                    path.unlink()
                    cleaned.append(one.directory.name)
            except FileNotFoundError:
                continue
        return cleaned


def kind(process: Process) -> str:
    """What a process of a user endpoint is, in a word or two."""
    command = process.command
    return next((mark for mark in _LEFTOVERS if mark in command), "user endpoint")


def _home(process: Process, directories: list[Path]) -> Path | None:
    """The user endpoint's directory that a process belongs to."""
    words = process.command
    named = process.environment.get("GLOBUS_COMPUTE_ENDPOINT_DIR")
    for directory in directories:
        if named is not None and os.path.realpath(named) == os.path.realpath(directory):
            return directory
        if directory.name in words or process.has_open_below(directory):
            return directory
    return None
