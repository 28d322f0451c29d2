"""How an endpoint is, as JSON: process, what the service says, tasks under way, crates.

    status.py FOLDER CRATES LOG HOST [--online SECONDS] [--drained SECONDS]

``HOST`` is a file that names the host on which the endpoint was started last.

``--online`` waits until one process has lived for some seconds and the service calls the endpoint online, ``--drained``
until no task is under way; code 1 where that does not happen in time. Where the endpoint is not online, the end of its
log is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

#: Lines of the log that are told.
LINES = 15
#: Seconds for which one process must have lived to count as started.
SETTLED_S = 6.0
#: Age of a pid file that a living daemon would have touched several times.
STALE_S = 60.0


def process(folder: Path, host: str) -> int | None:
    """Process id of the daemon, where it lives; after a reboot the number may be another program's.

    On another host, as Slurm chooses one for scrontab's jobs, its pid file has to tell, which it touches every 15 s.
    """
    file = folder / "daemon.pid"
    try:
        pid = int(file.read_text())
        if host != socket.gethostname():
            return pid if time.time() - file.stat().st_mtime < STALE_S else None
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"globus" in command.lower() else None


def host_of(file: Path) -> str:
    """The host on which the endpoint was started last; this one where nobody noted it."""
    try:
        return file.read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()


def age_s(pid: int) -> float:
    """Seconds since a process began; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0
    return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def end_of(log: Path) -> list[str]:
    """The last lines of a log."""
    try:
        return log.read_text(errors="replace").splitlines()[-LINES:]
    except OSError:
        return []


def identity(folder: Path) -> str | None:
    """Id of the endpoint at the service; None before its first start."""
    try:
        found: str = json.loads((folder / "endpoint.json").read_text())["endpoint_id"]
    except (OSError, ValueError, LookupError):
        return None
    return found


def at_service(endpoint: str | None) -> str:
    """What the service calls the endpoint."""
    if endpoint is None:
        return "unknown"
    from globus_compute_sdk import Client

    try:
        return str(Client().get_endpoint_status(endpoint)["status"])
    except Exception as error:  # whatever it is, it is what there is to say
        return f"cannot be asked: {type(error).__name__}"


def under_way(crates: Path) -> int:
    """Tasks that have begun and not ended, as the journals tell."""
    open_tasks = set()
    for journal in crates.glob("**/.spool*/*.jsonl"):
        try:
            lines = journal.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            try:
                found = json.loads(line)
                key = (journal, found["task"], found["n"])
            except (ValueError, LookupError, TypeError):
                continue
            # The end of a quick task has no line of its own: its duration follows in the task's start line.
            if found.get("t") == "start" and "dur" not in found:
                open_tasks.add(key)
            elif found.get("t") in ("start", "end", "lost"):
                open_tasks.discard(key)
    return len(open_tasks)


def main() -> int:
    """Print it, after waiting where told to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("crates", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("host", type=Path)
    parser.add_argument("--online", type=float)
    parser.add_argument("--drained", type=float)
    wants = parser.parse_args()
    end = time.monotonic() + (wants.online or wants.drained or 0)
    # The environment that this runs in is the one in use.
    version = Path(sys.prefix).resolve().name
    seen: tuple[int | None, float] = None, 0.0
    while True:
        host = host_of(wants.host)
        now = process(wants.folder, host)
        if now != seen[0]:
            seen = now, time.monotonic()
        report: dict[str, Any] = {"endpoint": wants.folder.name, "endpoint_id": identity(wants.folder)}
        report |= {"host": host, "version": version, "process": now}
        report["tasks_under_way"] = under_way(wants.crates)
        lived = age_s(now) if now is not None and host == socket.gethostname() else time.monotonic() - seen[1]
        settled = now is not None and lived >= SETTLED_S
        report["service"] = at_service(report["endpoint_id"]) if settled or wants.online is None else "not asked"
        good = True
        if wants.online is not None:
            good = settled and report["service"] == "online"
        if wants.drained is not None:
            good = good and not report["tasks_under_way"]
        if good or time.monotonic() >= end:
            break
        time.sleep(1)
    if report["service"] != "online":
        report["log"] = end_of(wants.log)
    report["crates"] = sum(1 for _ in wants.crates.glob("**/*.crate"))
    print(json.dumps(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
