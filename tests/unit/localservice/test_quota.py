"""What one identity may have at once."""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path

import pytest
from web_client import ALICE, BOB, Web

from prov_worker.localservice import messages
from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.ingest import Ingest
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.quota import Quota
from prov_worker.localservice.records import (
    Endpoint,
    Function,
    Incoming,
    NewTask,
    Result,
    Submission,
    Usage,
    UserEndpoint,
)
from prov_worker.localservice.sqlite import SqliteStorage
from prov_worker.localservice.sqlite.schema import MIGRATIONS

CORE, USER, FUNCTION, GROUP, FIRST, SECOND = (str(uuid.UUID(int=number)) for number in range(61, 67))
OWNER = ALICE.client_id
SUBMISSION = Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=False)


def fill(storage: SqliteStorage) -> None:
    """An endpoint, a function of 5 bytes, two tasks of 100."""
    storage.save_endpoint(Endpoint(CORE, OWNER, "ep", time.time(), {}))
    storage.save_user_endpoint(UserEndpoint(USER, CORE, OWNER, {}, {}))
    storage.save_function(Function(FUNCTION, OWNER, "f", "1\nxyz", time.time()))
    storage.add_tasks([NewTask(each, FUNCTION, "p", 100) for each in (FIRST, SECOND)], SUBMISSION, now=time.time())


def test_what_an_identity_has_is_counted(storage: SqliteStorage) -> None:
    assert storage.usage(OWNER) == Usage(0, 0, 0, 0)
    fill(storage)
    assert storage.usage(OWNER) == Usage(1, 2, 205, 3)
    assert storage.usage(BOB.client_id) == Usage(0, 0, 0, 0)
    storage.apply(Incoming(results=[Result(FIRST, OWNER, USER, False, b"x" * 30)]), now=1000.0)
    assert storage.usage(OWNER) == Usage(1, 1, 135, 3)
    storage.delete_function(FUNCTION)
    assert storage.usage(OWNER) == Usage(1, 1, 135, 3), "a task needs it still"
    storage.apply(Incoming(results=[Result(SECOND, OWNER, USER, False, b"x" * 40)]), now=2000.0)
    storage.forget(before=1500.0)
    assert storage.usage(OWNER) == Usage(0, 0, 40, 3)


def test_a_function_that_nothing_needs_is_gone_at_once(storage: SqliteStorage) -> None:
    storage.save_function(Function(FUNCTION, OWNER, "f", "1\nxyz", time.time()))
    storage.delete_function(FUNCTION)
    assert storage.usage(OWNER).functions == 0


def test_a_state_of_the_release_before_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(MIGRATIONS[0])
    old.execute("PRAGMA user_version = 1")
    old.execute(
        "INSERT INTO functions (id, owner, name, buffer, registered) VALUES ('f', ?, 'f', 'abcde', 0)", (OWNER,)
    )
    for name, state, payload, message in (("a", 0, "xyz", None), ("b", 2, None, b"1234567")):
        old.execute(
            "INSERT INTO tasks (id, owner, user_endpoint, function, grp, payload, submitted, state, message)"
            " VALUES (?, ?, 'u', 'f', 'g', ?, 0, ?, ?)",
            (name, OWNER, payload, state, message),
        )
    old.close()
    storage = SqliteStorage(path)
    assert storage.usage(OWNER) == Usage(1, 1, 15, 0)
    storage.close()


@pytest.mark.parametrize("kind", ["functions", "tasks", "kept_bytes", "queues"])
def test_both_numbers_are_said(kind: str) -> None:
    quota = Quota(functions=3, tasks=3, kept_bytes=3, queues=3)
    quota.check(Usage(2, 2, 2, 2), **{kind: 1})
    with pytest.raises(ApiError, match=r"^4 .*; one identity may have 3 at once$") as caught:
        quota.check(Usage(2, 2, 2, 2), **{kind: 2})
    assert (caught.value.status, caught.value.code) == (403, "QUOTA_EXCEEDED")
    quota.check(Usage(9, 9, 9, 9))


def test_functions_of_one_identity(web: Web) -> None:
    body = {"function_name": "f", "function_code": "x" * 1000}
    object.__setattr__(web.service.config, "quota", Quota(functions=2))
    for identity in (ALICE, BOB):
        headers = web.bearer(identity)
        answers = [web.ask("POST", "/v3/functions", body, headers=headers) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 403]
    assert answers[2][1]["reason"] == "3 functions; one identity may have 2 at once"


def test_a_function_that_no_task_could_have(web: Web) -> None:
    object.__setattr__(web.service.config, "task_limit_bytes", 2000)
    body = {"function_name": "f", "function_code": "x" * 3000}
    status, content, _ = web.ask("POST", "/v3/functions", body, headers=web.bearer(ALICE))
    assert (status, "at most 2000 are taken" in content["reason"]) == (413, True)


def test_a_result_beyond_is_a_failure_that_says_so(storage: SqliteStorage) -> None:
    fill(storage)
    ingest = Ingest(storage, Metrics(), 10_000, 300)
    results = [Result(each, OWNER, USER, False, b"x" * 60) for each in (FIRST, SECOND)]
    first, second = ingest._within_quota(results)
    assert first == results[0]
    reason = messages.document(SECOND, second.message, 0.0)["exception"]
    assert (second.failed, reason) == (
        True,
        "325 bytes of functions, tasks and results; one identity may have 300 at once",
    )
