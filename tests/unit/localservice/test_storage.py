"""Durable state: what is written is there for the next process, and nothing finished changes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
from prov_worker.errors import InputError
from prov_worker.localservice.records import (
    Endpoint,
    Function,
    Incoming,
    NewTask,
    Pulse,
    Requeued,
    Result,
    Stored,
    Submission,
    TaskState,
    UserEndpoint,
)
from prov_worker.localservice.sqlite import SqliteStorage

OWNER, CORE, USER, FUNCTION, GROUP = (str(uuid.UUID(int=number)) for number in range(1, 6))


def fill(storage: SqliteStorage, *tasks: str, queue: bool = True, group: str = GROUP, now: float = 100.0) -> None:
    storage.save_endpoint(Endpoint(CORE, OWNER, "ep", 1.0, {"metadata": {"a": 1}}))
    storage.save_user_endpoint(UserEndpoint(USER, CORE, OWNER, {"workers": 2}, {"python": "3"}))
    if storage.function(FUNCTION) is None:
        storage.save_function(Function(FUNCTION, OWNER, "add", "5\n01\nx\n", 1.0))
    storage.add_tasks(
        [NewTask(task, FUNCTION, f"payload of {task}") for task in tasks],
        Submission(owner=OWNER, user_endpoint=USER, group=group, queue=queue, resource_specification={"num_ranks": 2}),
        now=now,
    )


def result(task: str, *, failed: bool = False, message: bytes = b"\x01message") -> Result:
    return Result(task, OWNER, USER, failed, message)


def test_tasks_outlive_the_process(tmp_path: Path) -> None:
    """A process that is killed right after a write has lost nothing of it."""
    path = tmp_path / "state" / "s.sqlite"
    code = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_storage import Incoming, SqliteStorage, fill, result\n"
        f"storage = SqliteStorage(Path({str(path)!r}))\n"
        "fill(storage, 'a', 'b')\n"
        "storage.apply(Incoming(results=[result('a')], queued=[2]), now=200.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    storage = SqliteStorage(path)
    tasks = storage.tasks(["a", "b"], OWNER)
    assert (tasks["a"].state, tasks["a"].message, tasks["a"].finished) == (TaskState.SUCCESS, b"\x01message", 200.0)
    assert tasks["b"].state == TaskState.QUEUED
    assert [forward.message for forward in storage.to_forward()] == [b"\x01message"]
    storage.close()


def test_only_the_first_result_counts(storage: SqliteStorage) -> None:
    fill(storage, "a")
    stored = storage.apply(Incoming(results=[result("a")]), now=1.0)
    assert ([each.group for each in stored.forwards], stored.succeeded, stored.failed) == ([GROUP], 1, 0)
    assert storage.apply(Incoming(results=[result("a", failed=True, message=b"late")]), now=2.0) == Stored([], 0, 0)
    assert storage.tasks(["a"], OWNER)["a"].message == b"\x01message"


def test_a_result_of_another_endpoint_changes_nothing(storage: SqliteStorage) -> None:
    fill(storage, "a")
    assert (
        storage.apply(Incoming(results=[Result("a", OWNER, CORE, False, b"x"), result("unknown")]), now=1.0).succeeded
        == 0
    )
    assert storage.tasks(["a"], OWNER)["a"].state == TaskState.ACCEPTED


def test_results_of_a_group_without_a_queue_go_nowhere_until_it_has_one(storage: SqliteStorage) -> None:
    fill(storage, "a", "b", queue=False)
    assert storage.apply(Incoming(results=[result("a")]), now=1.0).forwards == []
    assert storage.to_forward() == []
    storage.open_group_queue(GROUP)
    (forward,) = storage.apply(Incoming(results=[result("b")]), now=1.0).forwards
    assert [each.seq for each in storage.to_forward()] == [forward.seq]
    storage.apply(Incoming(forwarded=[forward.seq]), now=1.0)
    assert storage.to_forward() == []


def test_publishing_in_order_until_confirmed(storage: SqliteStorage) -> None:
    fill(storage, "a", "b", "c")
    waiting = storage.to_publish()
    assert [(each.id, each.buffer + each.payload) for each in waiting] == [
        (name, f"5\n01\nx\npayload of {name}") for name in "abc"
    ]
    assert waiting[0].resource_specification == {"num_ranks": 2}
    assert [each.id for each in storage.to_publish(USER, limit=1, after=waiting[0].seq)] == ["b"]
    assert storage.to_publish(CORE) == []
    storage.apply(Incoming(queued=[waiting[0].seq, waiting[1].seq]), now=1.0)
    assert [each.id for each in storage.to_publish()] == ["c"]


def test_requeue_takes_the_unfinished_alone(storage: SqliteStorage) -> None:
    fill(storage, "a", "b", "c")
    storage.apply(Incoming(queued=[1, 2, 3], results=[result("b")]), now=1.0)
    assert storage.requeue(USER, 1) == Requeued(2, [])
    assert storage.requeue(USER, 1) == Requeued(0, [1, 3])
    assert [each.id for each in storage.to_publish()] == ["a", "c"]


def test_a_late_confirmation_does_not_reopen_a_finished_task(storage: SqliteStorage) -> None:
    fill(storage, "a")
    storage.apply(Incoming(results=[result("a")]), now=1.0)
    storage.apply(Incoming(queued=[1]), now=1.0)
    assert storage.tasks(["a"], OWNER)["a"].state == TaskState.SUCCESS


def test_nobody_sees_anothers(storage: SqliteStorage) -> None:
    fill(storage, "a")
    assert storage.tasks(["a"], CORE) == {}
    assert storage.endpoints(CORE) == []
    assert storage.recent_tasks(CORE) == []
    assert sum(storage.task_counts(CORE).values()) == 0
    assert storage.endpoint_tasks(CORE) == {}


def test_more_tasks_at_once_than_a_query_takes(storage: SqliteStorage) -> None:
    names = [f"t{number}" for number in range(2500)]
    fill(storage, *names)
    assert len(storage.tasks(names, OWNER)) == 2500


def test_pulses_and_open_work(storage: SqliteStorage) -> None:
    fill(storage, "a", "b", now=50.0)
    storage.apply(
        Incoming(pulses={(OWNER, CORE): Pulse(100.0, 5.0, {}), (OWNER, USER): Pulse(101.0, 5.0, {"idle": 1})}),
        now=1.0,
    )
    (work,) = storage.open_work()
    assert (work.unfinished, work.core.pulse.heard) == (2, 100.0)
    assert work.user_endpoint.pulse.report == {"idle": 1}
    storage.apply(Incoming(results=[result("a"), result("b")]), now=1.0)
    assert storage.open_work() == []


def test_what_another_identity_says_of_an_endpoint_changes_nothing(storage: SqliteStorage) -> None:
    fill(storage, "a")
    pulses = [((CORE, CORE), Pulse(100.0, 5.0, {})), ((CORE, USER), Pulse(100.0, 5.0, {}))]
    assert (
        storage.apply(Incoming(results=[Result("a", CORE, USER, True, b"x")], pulses=dict(pulses)), now=1.0).forwards
        == []
    )
    (work,) = storage.open_work()
    assert (work.unfinished, work.core.pulse.heard, work.user_endpoint.pulse.heard) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    "pulse, now, online",
    [
        (Pulse(), 0.0, False),
        (Pulse(100.0, 5.0), 114.9, True),
        (Pulse(100.0, 5.0), 115.1, False),
        (Pulse(100.0, 0.0), 100.0, False),
        (Pulse(100.0, 5.0, {"active": False}), 100.0, False),
        (Pulse(100.0, 3.0, {"error": "no"}), 100.0, False),
    ],
)
def test_when_an_endpoint_counts_as_online(pulse: Pulse, now: float, online: bool) -> None:
    assert pulse.online(now) is online


def test_registering_again_keeps_user_endpoints_and_forgets_the_pulse(storage: SqliteStorage) -> None:
    fill(storage, "a")
    storage.apply(Incoming(pulses={(OWNER, CORE): Pulse(100.0, 5.0, {})}), now=1.0)
    storage.lock_endpoint(CORE)
    storage.save_endpoint(Endpoint(CORE, OWNER, "renamed", 2.0, {}))
    endpoint = storage.endpoint(CORE)
    assert endpoint is not None
    assert (endpoint.name, endpoint.pulse.heard, endpoint.locked, endpoint.registered) == ("renamed", 0.0, False, 1.0)
    assert len(storage.user_endpoints(CORE)) == 1


def test_old_tasks_go_and_with_them_what_only_they_needed(storage: SqliteStorage) -> None:
    fill(storage, "a", now=10.0)
    fill(storage, "b", "c", group="later", now=20.0)
    storage.apply(Incoming(results=[result("a")]), now=11.0)
    storage.apply(Incoming(results=[result("b")]), now=21.0)
    storage.delete_function(FUNCTION)
    assert storage.function(FUNCTION) is None
    assert storage.forget(before=15.0) == 1
    assert storage.idle_groups(before=15.0) == [(OWNER, GROUP)]
    storage.forget_groups([GROUP, "later"], before=15.0)
    assert (storage.group_owner(GROUP), storage.group_owner("later")) == (None, OWNER)
    assert [each.id for each in storage.to_publish()] == ["c"], "a task under way keeps its deleted function"
    storage.apply(Incoming(results=[result("c")]), now=22.0)
    assert storage.forget(before=30.0) == 2
    assert storage.idle_groups(before=30.0) == [(OWNER, "later")]
    assert storage.database.read().execute("SELECT count(*) FROM functions").fetchone()[0] == 0


def test_the_file_does_not_grow_with_time(storage: SqliteStorage) -> None:
    """Many rounds of work with retention stay the size of one."""
    sizes = []
    for round_number in range(12):
        names = [f"{round_number}-{number}" for number in range(300)]
        fill(storage, *names, group=f"g{round_number}", now=float(round_number))
        storage.apply(Incoming(results=[result(name, message=b"r" * 2000) for name in names]), now=float(round_number))
        storage.forget(before=round_number - 0.5)
        storage.forget_groups([group for _, group in storage.idle_groups(round_number - 0.5)], round_number - 0.5)
        sizes.append(storage.database.path.stat().st_size)
        storage.database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert max(sizes[6:]) <= 1.5 * max(sizes[2:6])


def test_throughput(storage: SqliteStorage) -> None:
    fill(storage, "a", "b", "c")
    for task, when in (("a", 61.0), ("b", 89.0), ("c", 121.0)):
        storage.apply(Incoming(results=[result(task)]), now=when)
    assert storage.throughput(OWNER, 60.0, 30.0) == {2: 2, 4: 1}
    assert storage.task_counts()["success"] == 3
    assert storage.endpoint_tasks(OWNER)[CORE]["success"] == 3


def test_key_and_revocations_stay(tmp_path: Path) -> None:
    first = SqliteStorage(tmp_path / "s.sqlite")
    key = first.signing_key()
    first.revoke("t", time.time() + 100)
    first.close()
    second = SqliteStorage(tmp_path / "s.sqlite")
    assert second.signing_key() == key
    assert second.revoked("t")
    assert not second.revoked("other")
    second.close()


def test_private(tmp_path: Path) -> None:
    SqliteStorage(tmp_path / "state" / "s.sqlite").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "s.sqlite").stat().st_mode & 0o777 == 0o600


def _in_use(path: Path) -> SqliteStorage:
    return SqliteStorage(path)


def _later_version(path: Path) -> None:
    SqliteStorage(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def _something_else(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()


def _no_database(path: Path) -> None:
    path.write_text("hello, this is not a database at all, it is text" * 100)


def _a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "prepare, reason",
    [
        (_in_use, "another service uses this database"),
        (_later_version, "later version"),
        (_something_else, "something else"),
        (_no_database, "not a database"),
        (_a_directory, "s.sqlite"),
    ],
)
def test_what_cannot_be_used_is_said_and_closed(
    tmp_path: Path, prepare: Callable[[Path], SqliteStorage | None], reason: str
) -> None:
    path = tmp_path / "s.sqlite"
    user = prepare(path)
    with pytest.raises(InputError, match=reason) as caught:
        SqliteStorage(path)
    assert str(path) in str(caught.value)
    if user is not None:
        user.close()
    assert str(path.resolve()) not in {
        os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")
    }
