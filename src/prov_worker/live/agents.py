"""Asks the agents of a crate directory what runs: that of this node by its socket, others by their live files."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.live.model import DEAD, LATE, LIVE, Node, View, node_of
from prov_worker.processes import host_name
from prov_worker.spool.launch import LOCK, agent_lives
from prov_worker.spool.live import (
    IDLE_RENEW_S,
    LATE_S,
    MAX_BYTES,
    SOCKET,
    VERSION,
    live_files,
    parse_live,
    peer_uid,
    place_of_live,
    read_live,
)
from prov_worker.spool.own_files import is_private
from prov_worker.spool.paths import is_crate_dir, other_spools, own_spools, place_of, runtime_dirs_of


@dataclass(frozen=True, slots=True)
class Remark:
    """What one agent says.

    Attributes:
        document: as of :mod:`prov_worker.spool.live`.
        by: ``socket`` or ``file``.
        state: of the agent, if it is known otherwise than from the time.
    """

    document: dict[str, Any]
    by: str
    state: str | None = None

    def node(self, now: float) -> Node:
        """Return it as it is shown; ``now`` is in s since the epoch."""
        return node_of(self.document, now, by=self.by, state=self.state)


#: An agent that does not answer within this hangs, or its node does.
PATIENCE_S = 1.0


def ask_agent(runtime: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Return what the agent of a runtime directory of this node says.

    Raises:
        OSError: there is none, it does not answer in time, or what answers is another user's.
        ValueError: the answer is not one.
    """
    if not is_private(runtime):
        raise PermissionError(f"{runtime}: is not a directory of this user alone")
    until = time.monotonic() + patience_s
    directory = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience_s)
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET}")
            if peer_uid(connection) != os.geteuid():
                raise PermissionError(f"{runtime}: what answers there is another user's")
            while chunk := connection.recv(1 << 16):
                answer += chunk
                if len(answer) > MAX_BYTES:
                    raise ValueError("the answer has no end")
                connection.settimeout(max(0.01, until - time.monotonic()))
    finally:
        os.close(directory)
    return parse_live(answer)


class Agents:
    """The agents of a crate directory.

    Args:
        crate_dir: the directory; it need not be there before the first crate.

    Raises:
        InputError: it is not a directory, or may not be read.
    """

    def __init__(self, crate_dir: Path) -> None:
        self.crate_dir = crate_dir
        if not is_crate_dir(os.path.abspath(crate_dir)):
            raise InputError(f"{crate_dir}: no such directory")
        if crate_dir.exists() and not os.access(crate_dir, os.R_OK | os.X_OK):
            raise InputError(f"{crate_dir}: no right to read this directory")

    def look(self) -> View:
        """Return what they say now. Takes a second if an agent of this node hangs; never longer for an agent."""
        remarks, problems = self.collect()
        return view_of(remarks, problems)

    def collect(self) -> tuple[list[Remark], list[str]]:
        """Return what each agent says now, and what could not be read, a line each."""
        remarks: list[Remark] = []
        problems: list[str] = []
        directory = str(self.crate_dir)
        here: dict[str, str] = {}  # state of the agents of this place, that do not answer
        for runtime in runtime_dirs_of(directory):
            if not os.path.exists(os.path.join(runtime, LOCK)):
                continue
            lives = agent_lives(runtime)
            try:
                remarks.append(Remark(ask_agent(runtime), "socket"))
            except (OSError, ValueError) as error:
                here[place_of(runtime)] = LATE if lives else DEAD
                if lives and not isinstance(error, FileNotFoundError):
                    reason = "" if isinstance(error, (TimeoutError, BlockingIOError)) else f": {error}"
                    problems.append(f"the agent of this node does not answer{reason}")
        answered = {remark.document.get("place") for remark in remarks}
        for path in live_files(directory):
            if place_of_live(path) in answered:
                continue  # what its agent has just said is newer
            try:
                document = read_live(path)
            except FileNotFoundError:
                continue  # its agent has just ended
            except (OSError, ValueError) as error:
                strerror = error.strerror if isinstance(error, OSError) else None
                problems.append(f"{path}: cannot be read: {strerror or error}")
                continue
            remarks.append(Remark(document, "file", here.get(str(document.get("place")))))
        places = {remark.document.get("place") for remark in remarks}
        for place, state in here.items():
            if state == LATE and place not in places:  # it hangs, and has no file yet
                document = {"v": VERSION, "host": host_name(), "place": place, "written": time.time()}
                remarks.append(Remark(document, "socket", LATE))
        now = time.time()
        if not any(remark.node(now).state == LIVE for remark in remarks):
            problems += _others(directory, now)
        return remarks, problems


def view_of(remarks: Iterable[Remark], problems: Iterable[str]) -> View:
    """Return what agents say, as it is shown. Of one that is there twice the first counts."""
    now = time.time()
    nodes: dict[tuple[str, str], Node] = {}
    for remark in remarks:
        node = remark.node(now)
        nodes.setdefault((node.host, node.place), node)
    return View(tuple(nodes[key] for key in sorted(nodes)), tuple(problems), now)


def _others(crate_dir: str, now: float) -> list[str]:
    """Name the spools of others, whose tasks are not shown: all if this user has none, else those in use now.

    Whatever an agent writes there changes the directory itself, which everybody may look at.
    """
    own = own_spools(crate_dir)
    lines = []
    for spool in other_spools(crate_dir):
        with contextlib.suppress(OSError):
            status = os.lstat(spool)
            if not own or now - status.st_mtime < IDLE_RENEW_S + LATE_S:
                lines.append(f"{spool}: is of user {status.st_uid}, whose tasks only that user is shown")
    return lines
