"""Events of tasks while workers, agents and senders are killed: none is lost, and none is twice in a table."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import jsonschema
import pytest

from support.commands import run_python
from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start
from support.event_servers import EventServer, PostgresqlServer, RabbitServer, RedisServer
from support.killed_stream import kill, rows, run_while_all_is_killed, senders_of

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "event-1.json").read_text())


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
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of pika, as in test_sinks.py
def test_workers_agents_senders_brokers_and_the_database_are_killed_again_and_again(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """A thousand tasks, of which some die; what sinks have in the end is what happened, in tables each once."""
    folders = {name: tmp_path / name for name in ("redis", "amqp")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    servers: dict[str, EventServer] = {
        "postgresql": PostgresqlServer(),
        "redis": RedisServer(folders["redis"]),
        "amqp": RabbitServer(folders["amqp"]),
    }
    try:
        for server in servers.values():
            server.start()
        outcome = run_while_all_is_killed(tmp_path, crate_dir, start, servers)
    finally:
        for server in servers.values():
            server.close()
    assert outcome.lost == {"postgresql": 0, "sqlite": 0, "redis": 0, "amqp": 0}
    assert (outcome.tasks, outcome.doubled, outcome.wrong) == (1000, 0, 0)
    assert all(outcome.kills[name] for name in ("worker", "agent", "sender", *servers)), outcome.kills
