"""Events of tasks while workers, agents and senders are killed: none is lost, and none is twice in a table."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.commands import run_python
from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start
from support.event_servers import PASSWORD, PostgresqlServer

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "event-1.json").read_text())


def rows(path: Path, query: str) -> list[Any]:
    if not path.exists():
        return []
    connection = sqlite3.connect(path, timeout=30)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # its tables are still to be made
    finally:
        connection.close()


def senders_of(crate_dir: CrateDir) -> list[int]:
    """Process ids of the senders that the agent of a directory has started."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"prov_worker.stream.main" in path.read_bytes():
                status = (path.parent / "status").read_text()
                parent = int(status.partition("PPid:")[2].split()[0])
                about = crate_dir.agent()
                if about is not None and parent == about["finaliser"]:
                    pids.append(int(path.parent.name))
    return pids


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_events_follow_their_schema_and_nothing_says_where_they_go(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    database = tmp_path / "live.sqlite"
    calls = [Call("sleep", (0.0,)), Call("refuse", ("token=abcdefghijk",)), Call("sleep", (0.5,))]
    worker = start(*calls, settings={"stream": [f"sqlite:{database}", f"jsonl:{tmp_path / 'events'}"]})
    worker.wait()
    crate_dir.wait_for(call.task for call in calls)
    wait_until(lambda: len(rows(database, "SELECT 1 FROM task WHERE crate IS NOT NULL")) == 3, crate_dir.describe)
    wait_until(lambda: (tmp_path / "events").read_text().count('"crate.published"') == 3, crate_dir.describe)
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    for event in events:
        jsonschema.validate(event, SCHEMA)
    kinds = [(event["subject"], event["type"]) for event in events]
    for call in calls:
        mine = [kind for task, kind in kinds if task == call.task]
        assert [kind for kind in mine if kind != "task.sampled"] == ["task.started", "task.ended", "crate.published"]
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    (failed,) = rows(database, "SELECT error, failure_kind FROM task WHERE status = 'failed'")
    assert "abcdefghijk" not in failed[0]
    assert failed[1] == "exception"
    crate_dir.wait_for_end_of_agent()
    address = str(tmp_path).encode() + b"/live.sqlite"
    for path in crate_dir.crates.rglob("*"):
        if path.is_file():
            assert address not in path.read_bytes(), path


def test_without_a_setting_there_are_no_events(crate_dir: CrateDir, start: Start) -> None:
    call = Call("sleep", (0.1,))
    start(call).wait()
    crate_dir.wait_for([call.task])
    assert not (crate_dir.spool / "events").exists()


def test_a_command_asks_a_running_agent(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    first, second = Call("touch_and_wait", (str(tmp_path / "begun"), str(tmp_path / "go"))), Call("sleep", (0.0,))
    worker = start(first, second)
    wait_until((tmp_path / "begun").exists, "the task runs")
    crate_dir.wait_for_agent()
    arguments = ("-m", "prov_worker", "stream", crate_dir.crates, f"sqlite:{tmp_path / 'x'}", "--once", "--json")
    done = run_python(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    wait_until((crate_dir.runtime / "stream.asked").exists, crate_dir.describe)
    (tmp_path / "go").touch()
    worker.wait()
    crate_dir.wait_for([first.task, second.task])
    done = run_python(*arguments)
    (sink,) = json.loads(done.stdout)["sinks"]
    assert (done.returncode, sink["waiting"], sink["problem"]) == (0, 0, None)
    assert rows(tmp_path / "x", "SELECT count(*) FROM task WHERE status = 'completed' AND crate IS NOT NULL") == [(2,)]
    assert run_python(*arguments).returncode == 0


def test_a_worker_an_agent_and_a_sender_are_killed_in_turn(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    database = tmp_path / "live.sqlite"
    settings = {"stream": [f"sqlite:{database}"]}
    many = [Call("sleep", (0.02,)) for _ in range(60)]
    doomed = Call("kill_self", (signal.SIGKILL, 0.5))
    keeper = start(*many[:30], Call("wait_for_file", (str(tmp_path / "go"),)), *many[30:], settings=settings)
    start(doomed, settings=settings).wait()
    wait_until(lambda: rows(database, "SELECT 1 FROM event"), crate_dir.describe)
    about = crate_dir.wait_for_agent()
    wait_until(lambda: senders_of(crate_dir), "a sender")
    kill(*senders_of(crate_dir))
    kill(about["pid"], about["finaliser"])
    successor = crate_dir.start_agent()  # a worker looks for one each five seconds
    (tmp_path / "go").touch()
    keeper.wait()
    tasks = [call.task for call in (*many, doomed)]
    crate_dir.wait_for(tasks)
    wait_until(
        lambda: len(rows(database, "SELECT 1 FROM task WHERE crate IS NOT NULL")) == 62,
        lambda: f"{rows(database, 'SELECT status, count(*) FROM task GROUP BY 1')} {crate_dir.describe()}",
    )
    assert rows(database, "SELECT count(*), count(DISTINCT task_id) FROM task") == [(62, 62)]
    assert rows(database, "SELECT status, count(*) FROM task GROUP BY 1 ORDER BY 1") == [
        ("completed", 61),
        ("failed", 1),
    ]
    assert rows(database, "SELECT task_id FROM task WHERE status = 'failed'") == [(doomed.task,)]
    for kind in ("task.started", "task.ended", "crate.published"):
        query = f"SELECT count(DISTINCT task_id) FROM event WHERE type = '{kind}'"
        assert rows(database, query) == [(62,)], kind
    successor.wait(90)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_workers_agents_senders_and_the_database_are_killed_again_and_again(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """A thousand tasks, of which some die; what tables have in the end is what happened, each once."""
    server = PostgresqlServer()
    over = threading.Event()
    kills: dict[str, int] = {"agent": 0, "sender": 0, "database": 0}

    def kill_in_turn() -> None:
        while not over.wait(2.0):
            about = crate_dir.agent()
            if about is not None:
                kill(about["pid"], about["finaliser"])
                kills["agent"] += 1
            if over.wait(3.0):
                break
            pids = senders_of(crate_dir)
            kill(*pids)
            kills["sender"] += len(pids)
            server.kill()
            kills["database"] += 1
            over.wait(1.0)
            server.start()

    server.start()
    try:
        settings = {"stream": [server.url, f"sqlite:{tmp_path / 'live.sqlite'}"]}
        environment = {"PROV_WORKER_STREAM_PASSWORD_1": PASSWORD}
        killer = threading.Thread(target=kill_in_turn)
        killer.start()
        quick = [[Call("sleep", (0.05,)) for _ in range(248)] for _ in range(4)]
        doomed = [Call("kill_self", (signal.SIGKILL, 0.2)) for _ in range(8)]
        workers = [start(*calls, settings=settings, environment=environment) for calls in quick]
        for call in doomed:
            start(call, settings=settings, environment=environment).wait()
        for worker in workers:
            worker.wait()
        over.set()
        killer.join()
        tasks = [call.task for calls in (*quick, doomed) for call in calls]
        last = Call("sleep", (0.0,))
        keeper = start(last, Call("wait_for_file", (str(tmp_path / "go"),)), settings=settings, environment=environment)
        crate_dir.wait_for_agent()
        wait_until(
            lambda: server.query("SELECT count(*) FROM task WHERE crate IS NOT NULL") >= [(1001,)],
            lambda: (
                f"{server.query('SELECT status, count(*), count(crate) FROM task GROUP BY 1')} {crate_dir.describe()}"
            ),
            240,
        )
        (tmp_path / "go").touch()
        keeper.wait()
        crate_dir.wait_for(tasks)
        chosen = "', '".join(tasks)
        query = f"SELECT status, count(*) FROM task WHERE task_id IN ('{chosen}') GROUP BY 1 ORDER BY 1"
        assert server.query(query) == [("completed", 992), ("failed", 8)]
        for kind in ("task.started", "task.ended", "crate.published"):
            query = f"SELECT count(DISTINCT task_id) FROM event WHERE type = '{kind}' AND task_id IN ('{chosen}')"
            assert server.query(query) == [(1000,)], kind
        wait_until(
            lambda: rows(tmp_path / "live.sqlite", "SELECT count(*) FROM task WHERE crate IS NOT NULL") >= [(1001,)],
            crate_dir.describe,
        )
        assert 0 not in kills.values(), kills
    finally:
        over.set()
        server.close()
