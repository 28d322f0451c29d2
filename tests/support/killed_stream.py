"""A thousand tasks whose events go to several sinks, while workers, agents, senders and servers are killed in turn."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start
from support.event_servers import PASSWORD, EventServer, PostgresqlServer

KINDS = ("task.started", "task.ended", "crate.published")
_WORKERS, _PAUSE_S = 4, 1.5


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        tasks: number of tasks; ``failed`` of them were killed with their worker.
        kills: by what was killed.
        lost: events that a sink does not have, by sink: of each task, one of each of :data:`KINDS`.
        doubled: rows of tables beyond one per attempt, and ids of events that are there more than once.
        wrong: rows of tables that do not say how their task ended.
        seconds: until all was there.
    """

    tasks: int
    failed: int
    kills: Counter[str] = field(default_factory=Counter)
    lost: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    wrong: int = 0
    seconds: float = 0.0


def senders_of(crate_dir: CrateDir) -> list[int]:
    """Process ids of the senders that the agent of a directory has started."""
    pids = []
    about = crate_dir.agent()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if about is not None and b"prov_worker.stream.main" in path.read_bytes():
                status = (path.parent / "status").read_text()
                if int(status.partition("PPid:")[2].split()[0]) == about["finaliser"]:
                    pids.append(int(path.parent.name))
    return pids


def kill(*pids: int) -> None:
    """Kill processes, those that are there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def rows(path: Path, query: str) -> list[Any]:
    """Ask a file of SQLite; nothing while its tables are still to be made."""
    if not path.exists():
        return []
    connection = sqlite3.connect(path, timeout=30)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


class _Killer:
    """Kills agent, sender and servers one after the other, until it is to stop; each at least once."""

    def __init__(self, crate_dir: CrateDir, servers: Mapping[str, EventServer], kills: Counter[str]) -> None:
        self._crate_dir, self._servers, self._kills = crate_dir, servers, kills
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not senders_of(self._crate_dir) and not self._over.wait(0.05):
            pass  # nothing is sent yet
        for name in itertools.cycle(("sender", "agent", *self._servers)):
            # servers can be killed at any time, the others only while tasks run
            if self._over.wait(_PAUSE_S) and all(self._kills[server] for server in self._servers):
                return
            about = self._crate_dir.agent()
            if name in self._servers:
                self._servers[name].kill()
                self._kills[name] += 1
                time.sleep(1.0)
                self._servers[name].start()
            elif about is not None:
                pids = (about["pid"], about["finaliser"]) if name == "agent" else senders_of(self._crate_dir)
                kill(*pids)
                self._kills[name] += bool(pids)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def run_while_all_is_killed(
    directory: Path, crate_dir: CrateDir, start: Start, servers: Mapping[str, EventServer], tasks: int = 1000
) -> Outcome:
    """Run tasks, and count what is in each sink in the end.

    Args:
        directory: for other files.
        crate_dir: where the crates go.
        start: starts workers.
        servers: by name, running; one of them a PostgreSQL.
        tasks: number of tasks.
    """
    database = next(server for server in servers.values() if isinstance(server, PostgresqlServer))
    doomed = [Call("kill_self", (signal.SIGKILL, 0.2)) for _ in range(8)]
    share = (tasks - len(doomed)) // _WORKERS
    quick = [[Call("sleep", (0.1,)) for _ in range(share)] for _ in range(_WORKERS)]
    outcome = Outcome(share * _WORKERS + len(doomed), len(doomed))
    outcome.kills["worker"] = len(doomed)
    local = directory / "live.sqlite"
    settings = {"stream": [*(server.url for server in servers.values()), f"sqlite:{local}"]}
    environment = {f"PROV_WORKER_STREAM_PASSWORD_{place}": PASSWORD for place in range(1, len(servers) + 1)}
    options: dict[str, Any] = {"settings": settings, "environment": environment}
    killer = _Killer(crate_dir, servers, outcome.kills)
    try:
        workers = [start(*calls, **options) for calls in quick]
        for call in doomed:
            start(call, **options).wait()
        for worker in workers:
            worker.wait()
    finally:
        killer.stop()
    done = time.monotonic()
    keeper = start(Call("sleep", (0.0,)), Call("wait_for_file", (str(directory / "go"),)), **options)
    crate_dir.wait_for_agent()
    chosen = [call.task for calls in (*quick, doomed) for call in calls]
    crate_dir.wait_for(chosen, 240)
    expected = {(task, kind) for task in chosen for kind in KINDS}
    wait_until(lambda: expected <= _pairs(database), lambda: f"all in PostgreSQL\n{crate_dir.describe()}", 240)
    wait_until(lambda: expected <= _local_pairs(local), lambda: f"all in SQLite\n{crate_dir.describe()}", 240)
    query = "SELECT id FROM event WHERE type <> 'task.sampled'"
    sent_ids = {name for (name,) in database.query(query)}
    queues = {name: server for name, server in servers.items() if server is not database}
    for name, server in queues.items():
        wait_until(lambda s=server: sent_ids <= set(s.ids()), f"all in {name}", 120)  # type: ignore[misc]
    outcome.seconds = time.monotonic() - done
    (directory / "go").touch()
    keeper.wait()
    outcome.lost = {
        "postgresql": len(expected - _pairs(database)),
        "sqlite": len(expected - _local_pairs(local)),
        **{name: len(sent_ids - set(server.ids())) for name, server in queues.items()},
    }
    names = "', '".join(chosen)
    ends = dict(database.query(f"SELECT status, count(*) FROM task WHERE task_id IN ('{names}') GROUP BY 1"))
    outcome.wrong = abs(outcome.failed - ends.get("failed", 0)) + abs(
        outcome.tasks - outcome.failed - ends.get("completed", 0)
    )
    doubles = "SELECT count(*) - count(DISTINCT {0}) FROM {1}"
    for ask in (database.query, lambda text: rows(local, text)):
        for key, table in (("task_id", "task"), ("id", "event")):
            ((count,),) = ask(doubles.format(key, table))
            outcome.doubled += count
    return outcome


def _pairs(database: PostgresqlServer) -> set[tuple[str, str]]:
    return set(database.query("SELECT DISTINCT task_id, type FROM event"))


def _local_pairs(path: Path) -> set[tuple[str, str]]:
    return set(rows(path, "SELECT DISTINCT task_id, type FROM event"))
