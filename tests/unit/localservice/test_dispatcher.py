"""What is sent again, and what is not any more."""

from __future__ import annotations

import uuid

import pytest

pytest.importorskip("pika", reason="the extra 'service' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'service' is not installed")
from prov_worker.localservice.broker import Broker
from prov_worker.localservice.dispatcher import MOST_RESENT, Dispatcher
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Endpoint, Function, NewTask, Submission, UserEndpoint
from prov_worker.localservice.sqlite import SqliteStorage

OWNER, CORE, USER, FUNCTION, GROUP, FIRST, SECOND = (str(uuid.UUID(int=number)) for number in range(71, 78))


def test_a_task_is_not_sent_again_for_ever(storage: SqliteStorage) -> None:
    """A broker that is away stands for all that may become of it; the second task comes later, and goes on."""
    user_endpoint = UserEndpoint(USER, CORE, OWNER, {}, {})
    storage.save_endpoint(Endpoint(CORE, OWNER, "ep", 0.0, {}))
    storage.save_user_endpoint(user_endpoint)
    storage.save_function(Function(FUNCTION, OWNER, "f", "1\nx\n", 0.0))
    failures: list[tuple[int, str, str]] = []
    dispatcher = Dispatcher(
        storage,
        Broker("amqp://127.0.0.1:1/", lambda _delivery: None, lambda: None, 1000),
        Identities([Identity(OWNER, "a secret")]),
        Metrics(),
        confirmed=lambda _tasks, _results: None,
        task_failed=lambda seq, code, reason: failures.append((seq, code, reason)),
        result_refused=lambda _seq, _reason: None,
        url_for=lambda _owner: "amqp://127.0.0.1:1/",
    )
    submission = Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=False)
    storage.add_tasks([NewTask(FIRST, FUNCTION, "p")], submission, now=1.0)
    numbers = [dispatcher.redeliver(user_endpoint, purge=False) for _ in range(MOST_RESENT)]
    storage.add_tasks([NewTask(SECOND, FUNCTION, "p")], submission, now=2.0)
    assert (numbers, failures) == ([1] * MOST_RESENT, [])
    assert dispatcher.redeliver(user_endpoint, purge=False) == 1
    reason = f"the task was sent {MOST_RESENT + 1} times, and its user endpoint was lost each time"
    assert failures == [(1, "TASK_GIVEN_UP", reason)]
