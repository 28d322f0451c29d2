"""Live files: what a node runs now, written again every two seconds by its agent, for whoever looks from elsewhere.

``<spool>/<host>~<place>.live`` is one JSON object, replaced whole. On the node itself the agent's socket,
:data:`SOCKET` in its runtime directory, answers with the same, fresh. Neither is a record: crates are
made of journals alone.

==============  ================================================================================================
key             value
==============  ================================================================================================
``v``           :data:`VERSION`
``host place``  where the agent is (:mod:`prov_worker.spool.places`)
``pid``         of the agent's sampler; ``started`` (s since the epoch) and ``version`` (release) of the agent
``written``     when this was written, s since the epoch, on the clock of that node
``renew_s``     when it will be written again, at the latest, s; an agent that is late by much is gone or held up
``sampled``     when the tasks were looked at, s since the epoch; null before the first look
``node``        ``load`` (1, 5 and 15 minutes), ``cpu_percent`` (100 is one logical CPU), ``cpus``, ``allowed_cpus``,
                ``memory_used_bytes``, ``memory_total_bytes``, ``gpus`` (of each ``number``, ``utilization_percent``,
                ``memory_used_bytes``, ``power_watts``, ``temperature_celsius``)
``workers``     number of workers that live
``crates``      ``published`` by this agent, ``waiting`` to be written, ``stuck``: refused by the disk
``job``         id of the batch job; ``endpoint`` its id and ``endpoint_name``, as the workers know them
``tasks``       running ones: ``task``, ``attempt``, ``function``, ``pid``, ``thread``, ``rank``, ``block``,
                ``started`` (s since the epoch), ``elapsed_s``, ``cpu_percent`` (of the last second or so), ``cpu_s``,
                ``rss_bytes`` and ``peak_rss_bytes`` (with descendants), ``threads``, ``children``, ``gpus`` (numbers of
                those that its worker may use, as far as it is known which), and ``cpu_joules``, ``gpu_joules``,
                ``node_joules`` so far
``more``        running tasks beyond the :data:`MAX_TASKS` that are listed
``ended``       the last tasks that have their crate: ``task``, ``attempt``, ``function``, ``status``, ``ended`` (s
                since the epoch), ``wall_s``, ``reason`` of a failure, ``crate`` (its name, or its pack's)
==============  ================================================================================================

What is not known is null. Texts are cut at :data:`MAX_TEXT` characters, so that a task takes at most a kilobyte.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from typing import Any

from prov_worker.processes import host_name
from prov_worker.spool.own_files import read_own, replace_in_private
from prov_worker.spool.paths import own_spools, place_of

VERSION = 1
SUFFIX = ".live"
SOCKET = "live.sock"
RENEW_S = 2.0
#: While nothing runs.
IDLE_RENEW_S = 30.0
MAX_TASKS = 1024
MAX_TEXT = 120
#: More than any agent writes.
MAX_BYTES = 2 << 20
#: How late an agent may be, and how much two nodes' clocks may differ.
LATE_S = 30.0
#: What a node left that was lost is of no use after a day.
_KEEP_S = 86_400.0
#: struct ucred: process, user, group.
_CREDENTIALS = struct.Struct("=iII")


def live_path(spool: str, runtime: str) -> str:
    """Return the path of the live file of an agent, by its runtime directory."""
    return os.path.join(spool, f"{host_name()}~{place_of(runtime)}{SUFFIX}")


def place_of_live(path: str) -> str:
    """Return the place that the name of a live file says."""
    return os.path.basename(path).removesuffix(SUFFIX).rpartition("~")[2]


def write_live(path: str, document: dict[str, Any]) -> None:
    """Replace a live file.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    replace_in_private(path, json.dumps(document, separators=(",", ":")).encode())


def live_files(crate_dir: str) -> list[str]:
    """Return the paths of this user's live files in a crate directory; those of other users are not looked at."""
    paths = []
    for spool in own_spools(crate_dir):
        with contextlib.suppress(OSError):
            paths += [os.path.join(spool, name) for name in sorted(os.listdir(spool)) if name.endswith(SUFFIX)]
    return paths


def read_live(path: str) -> dict[str, Any]:
    """Return what a live file says.

    Raises:
        OSError: it cannot be read, or is not a file of this user's.
        ValueError: it is not a live file that this release can read.
    """
    return parse_live(read_own(path, MAX_BYTES))


def parse_live(data: bytes) -> dict[str, Any]:
    """Return what an agent says of its node.

    Raises:
        ValueError: it is not what an agent says, or one of a later version.
    """
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or type(document.get("v")) is not int:
        raise ValueError("it is not what an agent says")
    if document["v"] > VERSION:
        raise ValueError(f"it is of version {document['v']}, this release reads up to {VERSION}")
    return document


def running_tasks(crate_dir: str) -> set[str]:
    """Return the ids of tasks that run by what the agents have written last; of none if an agent is late by much."""
    running = set()
    for path in live_files(crate_dir):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            document = read_live(path)
            if time.time() - document["written"] < document["renew_s"] + LATE_S:
                running |= {str(entry["task"]) for entry in document["tasks"]}
    return running


def remove_old_live_files(crate_dir: str) -> None:
    """Remove live files that nobody has renewed for a day: their node was lost."""
    for path in live_files(crate_dir):
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path, follow_symlinks=False).st_mtime > _KEEP_S:
                os.unlink(path)


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end of a socket of this node (``SO_PEERCRED``, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])
