"""One endpoint as its directory and ``/proc`` show it: whose it is, whether its daemon runs, what earlier runs left.

The daemon (globus-compute-endpoint 4.15 to 4.19) keeps ``daemon.pid`` while it runs, touches it every 15 s, refuses to
start while another's is younger than three heartbeats, and ends where its own is removed. Its user endpoints live in
``uep.<endpoint id>.<id>`` beside it, with a ``daemon.pid`` each.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prov_worker.errors import InputError
from prov_worker.fleet import processes
from prov_worker.fleet.fleetfile import EndpointSpec, is_here
from prov_worker.fleet.processes import Process
from prov_worker.sites.install import MARKER

#: A pid file that a living daemon would have touched several times by now.
STALE_S = 60.0
#: Where Globus Compute and prov-worker keep what a daemon prints until it has a log.
CONSOLE = "console.log"
_TITLE = "Globus Compute Endpoint *("
_USER_TITLE = "Globus Compute Endpoint ("
#: Processes of a user endpoint that outlive it where it was killed.
_LEFTOVERS = ("parsl: HTEX interchange", "parsl: HTEX manager", "parsl: HTEX worker", "process_worker_pool")

CoreState = Literal["absent", "running", "stale", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Core:
    """The daemon, as its pid file tells.

    Attributes:
        state: ``absent`` without a pid file; ``running`` here; ``stale`` where the process is gone; ``elsewhere``
            where somebody has touched the file lately and the process is not here.
        process: where it runs.
        touched_s: age of the pid file's last touch.
    """

    state: CoreState
    process: Process | None = None
    touched_s: float | None = None


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
        return self.directory / "daemon.pid"

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
        """What was noted when the directory was made by this package; None where it was not."""
        try:
            found = json.loads((self.directory / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.directory / MARKER}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"{self.directory / MARKER}: no valid JSON: {error}") from None
        return found if isinstance(found, dict) else None

    def other_host(self) -> str | None:
        """The host that it belongs to, if that is not this one."""
        if self.spec.host is not None and not is_here(self.spec.host):
            return self.spec.host
        host = (self.marker() or {}).get("host")
        return str(host) if host and not is_here(str(host)) else None

    def strange(self) -> str | None:
        """Why it is not to be touched; None where it is ours."""
        if (host := self.other_host()) is not None:
            return f"belongs to {host}"
        if self.marker() is None and self.directory.exists() and any(self.directory.iterdir()):
            return f"{self.directory} was not made by prov-worker"
        return None

    # -- the daemon ----------------------------------------------------------------------------------------------

    def core(self, known: Process | None = None) -> Core:
        """Whether the daemon runs.

        Args:
            known: the process that was started, or seen to run, on this host.
        """
        try:
            pid = int(self.pid_file.read_text(encoding="ascii").split()[0])
            touched = self.pid_file.stat().st_mtime
        except FileNotFoundError:
            return Core("absent")
        except (OSError, ValueError, IndexError):
            # Just being made, or cut off by a full disk.
            try:
                age = time.time() - self.pid_file.stat().st_mtime
            except OSError:
                return Core("absent")
            return Core("stale" if age > 5 else "elsewhere", None, age)
        age = max(0.0, time.time() - touched)
        found = processes.process(pid)
        # A process that began after the last touch has the number by chance.
        if found is not None and found.since <= touched + 2 and self._is_core(found):
            return Core("running", found, age)
        if (known is not None and known.pid == pid) or age > STALE_S:
            return Core("stale", None, age)
        return Core("elsewhere", None, age)

    def cores(self) -> list[Process]:
        """Daemons of this endpoint on this host, with or without a pid file: starting, running or ending."""
        return [one for one in processes.mine() if self._is_core(one) and self._has_this_directory(one)]

    def _is_core(self, process: Process) -> bool:
        command = process.command
        if _TITLE in command:
            return f", {self.spec.name})" in command
        words = process.arguments
        return "start" in words and self.spec.name in words and any("globus-compute-endpoint" in one for one in words)

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
        try:
            pid = int((directory / "daemon.pid").read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None
        found = processes.process(pid)
        if found is None or not _is_user_endpoint(found):
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
            user = _is_user_endpoint(process)
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
            path = one.directory / "daemon.pid"
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


def _is_user_endpoint(process: Process) -> bool:
    command = process.command
    return _USER_TITLE in command or "_start-user-endpoint" in command or "--die-with-parent" in command


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
