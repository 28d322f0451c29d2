"""What a stream costs a task and its node, and how soon a database has what happens."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import functions
from benchmarks.harness import (
    Bench,
    BenchmarkError,
    agent_of,
    end_agent,
    fresh,
    live_agent,
    median,
    provenance,
    quantile,
    quartiles,
)
from benchmarks.peers import flowcept_online
from benchmarks.rows import Row, Target
from benchmarks.tasks import Caller, body, our_helper
from benchmarks.trees import ROOT

RATE_HZ, WORKERS, TASK_S = 50.0, 2, 0.01
WARM_UP = 50
_POLL_S = 0.01
_LOOK_S = 0.5
_TICK_HZ = os.sysconf("SC_CLK_TCK")
#: Fresh processes get no variable of ours.
_PASSFILE = "PGPASSFILE"


def run(bench: Bench) -> list[Row]:
    """Rows for a no-op with and without a stream, a database, the sender, and what is killed; and those of FlowCept."""
    rows = [*_no_ops(bench), *_database(bench), *_kills(bench)]
    return [*rows, *flowcept_online.run(bench)] if bench.peers else rows


def _no_ops(bench: Bench) -> list[Row]:
    processes, count = bench.pick(5, 1), bench.pick(3000, 200)
    times: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(processes):
        bench.say(f"pairs of no-ops with and without a stream, process {number + 1} of {processes}")
        on, off = bench.crate_dir(), bench.crate_dir()
        with live_agent(on), live_agent(off):
            answer = fresh("benchmarks.streams:pairs", on=on, off=off, count=count)
        for key, values in answer.items():
            times[key] += values
    differences = [with_stream - without for with_stream, without in zip(times["on"], times["off"], strict=True)]
    spread = quartiles(differences)
    note = (
        f"stock is the same without a stream, paired in one process, each with its agent; median of the differences "
        f"{median(differences):+.2f} µs [{spread['low']:+.2f}, {spread['high']:+.2f}]"
    )
    target = Target(1.01, of_ratio=True)
    return [
        Row("no-op, recorded, with a stream to SQLite", median(times["on"]), "µs", median(times["off"]), target,
            len(differences), **quartiles(times["on"]), note=note)
    ]  # fmt: skip


def pairs(on: str, off: str, count: int) -> dict[str, list[float]]:
    """In a fresh process: pairs of recorded calls, with and without a stream, µs."""
    gc.collect()
    task = body(functions.noop)
    with tempfile.TemporaryDirectory() as run_dir:
        streamed = provenance(on, plots="none", stream=[f"sqlite:{run_dir}/live.sqlite"])
        callers = {
            "on": Caller(our_helper(streamed), task, run_dir),
            "off": Caller(our_helper(provenance(off, plots="none")), task, run_dir),
        }
        for _ in range(WARM_UP):
            for caller in callers.values():
                caller()
        time.sleep(2.0)  # the agent looks for requests each second
        times: dict[str, list[float]] = {"on": [], "off": []}
        for number in range(count):
            if number % 10 == 0:
                time.sleep(0.002)  # the agents go idle now and then, as between real tasks
            for key in ("on", "off") if number % 2 else ("off", "on"):
                times[key].append(callers[key].timed_ns() / 1e3)
        time.sleep(2.0)  # the sender needs its database for so long
    return times


def _kills(bench: Bench) -> list[Row]:
    """A thousand tasks while workers, agents, senders, brokers and the database are killed, as a test does it."""
    _know_tests()
    from support.crate_dir import CrateDir
    from support.direct import DirectWorker
    from support.event_servers import PostgresqlServer, RabbitServer, RedisServer, pytest
    from support.killed_stream import run_while_all_is_killed

    tasks = bench.pick(1000, 100)
    bench.say(f"{tasks} tasks, streamed to four sinks, while all else is killed")
    directory = Path(bench.crate_dir())
    crate_dir = CrateDir(directory / "crates")
    workers: list[Any] = []

    def start(*calls: Any, **options: Any) -> Any:
        workers.append(DirectWorker(directory, calls, crate_dir.crates, **options))
        return workers[-1]

    servers: dict[str, Any] = {}
    try:
        for name, make in (("redis", RedisServer), ("amqp", RabbitServer)):
            (directory / name).mkdir(mode=0o700)
            servers[name] = make(directory / name)
        servers["postgresql"] = PostgresqlServer()
        for server in servers.values():
            server.start()
        outcome = run_while_all_is_killed(directory, crate_dir, start, servers, tasks)
    except pytest.skip.Exception as reason:
        raise BenchmarkError(str(reason)) from None
    finally:
        for worker in workers:
            worker.stop()
        for server in servers.values():
            server.close()
        crate_dir.close()
    kills = ", ".join(f"{name} {count}" for name, count in outcome.kills.items())
    events = 3 * outcome.tasks
    note = (
        f"{events} events per sink (PostgreSQL, SQLite, Redis, RabbitMQ); killed: {kills}; {outcome.failed} tasks died"
    )
    return [
        Row("events lost over kills", sum(outcome.lost.values()), "events", None, Target(0), events, note=note),
        Row("rows doubled or wrong over kills", outcome.doubled + outcome.wrong, "rows", None, Target(0), outcome.tasks,
            note=f"in PostgreSQL and SQLite; all was there {outcome.seconds:.0f} s after the last result"),
    ]  # fmt: skip


def _know_tests() -> None:
    """Make what the tests share importable: servers of their own."""
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "integration" / "service")]


def _database(bench: Bench) -> list[Row]:
    _know_tests()
    from support.event_servers import PASSWORD, PostgresqlServer, pytest

    seconds = bench.pick(60.0, 15.0)
    bench.say(f"{RATE_HZ:g} tasks a second for {seconds:g} s, streamed to PostgreSQL")
    crate_dir = bench.crate_dir()
    try:
        server = PostgresqlServer()
    except pytest.skip.Exception as reason:
        raise BenchmarkError(str(reason)) from None
    passwords = Path(crate_dir).with_suffix(".pgpass")
    passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
    passwords.chmod(0o600)
    before = os.environ.get(_PASSFILE)
    os.environ[_PASSFILE] = str(passwords)
    try:
        server.start()
        watcher = _Watcher(server, crate_dir)
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watcher.watch)
            results = fresh(
                "benchmarks.crew:steady", crate_dir=crate_dir, workers=WORKERS, rate_hz=RATE_HZ, seconds=seconds,
                task_s=TASK_S, plots="none", stream=[server.url],
            )  # fmt: skip
            watcher.wanted = len(results)
            watching.result(120)
        (rows,) = server.query("SELECT (SELECT count(*) FROM task WHERE crate IS NOT NULL), count(DISTINCT task_id) "
                               "FROM event WHERE type = 'task.ended'")  # fmt: skip
        end_agent(crate_dir)
    finally:
        server.close()
        if before is None:
            del os.environ[_PASSFILE]
        else:
            os.environ[_PASSFILE] = before
    # Not those from before the sender had come: it starts with the first task.
    first_s = min((seen_s for _, seen_s in watcher.seen.values()), default=0.0)
    began_s = first_s - min(ended_ns for _, ended_ns in results) / 1e9
    delays: list[float] = []
    until_reported: list[float] = []
    until_there: list[float] = []
    for task, ended_ns in results:
        if first_s < ended_ns / 1e9 and task in watcher.seen:
            reported_s, seen_s = watcher.seen[task]
            delays.append(seen_s - ended_ns / 1e9)
            until_reported.append(reported_s - ended_ns / 1e9)
            until_there.append(seen_s - reported_s)
    if not delays:
        raise BenchmarkError(f"the sender came {began_s:.1f} s after the first result, and none came later")
    note = (
        f"p50 {median(delays):.2f} s, largest {max(delays):.2f} s; until the agent reports it "
        f"{_p50_p99(until_reported)}, from then until it is in the table {_p50_p99(until_there)}; "
        f"of {len(results)} results {rows[1]} ends and {rows[0]} crates are in the tables; "
        f"the sender came {began_s:.1f} s after the first; looked at each {_POLL_S:g} s, {WORKERS} workers"
    )
    share = 100 * watcher.sender_s / watcher.sender_lived_s if watcher.sender_lived_s else None
    return [
        Row("visible in PostgreSQL after the result, p99", quantile(delays, 0.99), "s", None, Target(0.5), len(delays),
            note=note),
        Row(f"sender of a stream at {RATE_HZ:g} tasks/s", share, "% of a core", None, Target(2.0),
            note=f"{watcher.sender_s:.2f} s of CPU time in {watcher.sender_lived_s:.0f} s, its start included"),
    ]  # fmt: skip


def _p50_p99(values: list[float]) -> str:
    return f"{median(values):.2f} s (p99 {quantile(values, 0.99):.2f})"


class _Watcher:
    """Sees when the end of a task comes into the database, and what the sender uses meanwhile."""

    def __init__(self, server: Any, crate_dir: str) -> None:
        self._server = server
        self._crate_dir = crate_dir
        self._stop = threading.Event()
        self.wanted: int | None = None
        #: By task: when the agent reported its end, and when that was seen; s since the epoch.
        self.seen: dict[str, tuple[float, float]] = {}
        self.sender_s = self.sender_lived_s = 0.0

    def watch(self) -> None:
        """Look until all that is wanted has come, or for a minute after it is known what that is."""
        import psycopg

        until = None
        last = ""
        began = looked = 0.0
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            while until is None or time.monotonic() < until:
                if self.wanted is not None:
                    until = until or time.monotonic() + 60
                    if len(self.seen) >= self.wanted:
                        return
                time.sleep(_POLL_S)
                try:
                    # by the primary key, which is in order as there is one place: the look costs next to nothing
                    rows = connection.execute(
                        "SELECT id, task_id, type, extract(epoch FROM time)::float8 FROM event "
                        "WHERE id > %s ORDER BY id",
                        (last,),
                    ).fetchall()
                except psycopg.errors.UndefinedTable:
                    continue  # the sender has not come yet
                now_s = time.time()
                for event, task, kind, reported_s in rows:
                    last = event
                    if kind == "task.ended":
                        self.seen.setdefault(task, (reported_s, now_s))
                used = self._sender_cpu_s() if time.monotonic() > looked + _LOOK_S else None
                if used is not None:
                    looked = time.monotonic()
                    began = began or time.monotonic()
                    self.sender_s, self.sender_lived_s = used, time.monotonic() - began

    def _sender_cpu_s(self) -> float | None:
        try:
            for pid in agent_of(self._crate_dir, 1.0).pids:
                if b"prov_worker.stream.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    return (int(fields[11]) + int(fields[12])) / _TICK_HZ
        except (OSError, BenchmarkError):
            pass  # it comes or goes just now
        return None
