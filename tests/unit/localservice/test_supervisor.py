"""When tasks that an endpoint took and never finished are sent again: the rules, with a clock of the test's own.

The broker here answers what a test says: real ones lose endpoints in tests/integration/service, within the time that
real heartbeats take.
"""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from typing import Any

import pytest

pytest.importorskip("pika", reason="the extra 'service' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'service' is not installed")
from prov_worker.localservice.broker import QueueDepth
from prov_worker.localservice.channel import RefusedError
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Endpoint, Function, Incoming, NewTask, Pulse, Submission, UserEndpoint
from prov_worker.localservice.sqlite import SqliteStorage
from prov_worker.localservice.supervisor import ABSENCE_S, IDLE_GRACE_S, RESTART_SPACING_S, SILENT_S, Supervisor
from prov_worker.localservice.topology import tasks_queue

OWNER, CORE, USER, FUNCTION, GROUP = (str(uuid.UUID(int=number)) for number in range(31, 36))
IDLE = {"outstanding_tasks": 0, "pending_tasks": 0}


class Broker:
    """Who listens to the queue of tasks, and how many wait there."""

    def __init__(self) -> None:
        self.up, self.up_since, self.blocked = True, 0.0, ""
        self.depth = QueueDepth(0, 1)
        self.depths: dict[str, QueueDepth] = {}
        self.odd: set[str] = set()

    def declare_queue(self, name: str) -> Future[QueueDepth]:
        future: Future[QueueDepth] = Future()
        if name in self.odd:
            future.set_exception(RefusedError("405"))
        else:
            future.set_result(self.depths.get(name, self.depth))
        return future


class Dispatcher:
    """Notes what it is told."""

    def __init__(self, supervised: SupervisedService) -> None:
        self._supervised = supervised
        self.redelivered: list[bool] = []
        self.started = 0
        self.dropped: list[str] = []
        self.queues, self.progress = self, 0

    def publish_tasks(self, user_endpoint: str | None = None) -> None: ...

    def forward_waiting(self) -> None: ...

    def redeliver(self, user_endpoint: UserEndpoint, *, purge: bool) -> int:
        self.redelivered.append(purge)
        return 1

    def command_start(self, user_endpoint: UserEndpoint, *, at_once: bool = False) -> None:
        assert at_once
        self.started += 1
        self._supervised.storage.mark_started(user_endpoint.id, self._supervised.now)

    def drop(self, names: list[str]) -> None:
        self.dropped += names


class Accounts:
    def ensure(self) -> None: ...


class SupervisedService:
    """A supervisor, and a time that stands still until it is moved."""

    def __init__(self, storage: SqliteStorage) -> None:
        self.storage, self.broker, self.dispatcher = storage, Broker(), Dispatcher(self)
        self.now = 10_000.0
        parts: list[Any] = [storage, self.broker, self.dispatcher, Accounts(), Metrics()]
        self.supervisor = Supervisor(*parts, retain_s=3600.0, clock=lambda: self.now)
        storage.save_endpoint(Endpoint(CORE, OWNER, "ep", self.now, {}))
        storage.save_user_endpoint(UserEndpoint(USER, CORE, OWNER, {}, {}))
        storage.save_function(Function(FUNCTION, OWNER, "f", "1\nx\n", self.now))
        storage.add_tasks(
            [NewTask(str(uuid.UUID(int=99)), FUNCTION, "p")],
            Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=True), now=self.now,
        )  # fmt: skip
        storage.mark_started(USER, self.now)

    def beat(self, *who: str, **report: Any) -> None:
        pulse = Pulse(self.now, 5.0, {"heartbeat_period": 5, **report})
        self.storage.apply(Incoming(pulses={(OWNER, each): pulse for each in who}), now=self.now)

    def pass_time(self, seconds: float, *who: str, **report: Any) -> None:
        """Time with a heartbeat of some, and a look, every second."""
        for _ in range(int(seconds)):
            self.now += 1
            self.beat(*who, **report)
            self.supervisor.look()


@pytest.fixture
def supervised(storage: SqliteStorage) -> SupervisedService:
    return SupervisedService(storage)


def test_one_that_works_is_left_alone(supervised: SupervisedService) -> None:
    supervised.pass_time(600, CORE, USER, outstanding_tasks=1, pending_tasks=0)
    assert (supervised.dispatcher.redelivered, supervised.dispatcher.started) == ([], 0)


def test_one_that_is_gone_is_started_again_with_its_tasks(supervised: SupervisedService) -> None:
    supervised.beat(CORE, USER)
    supervised.broker.depth = QueueDepth(0, 0)
    supervised.pass_time(RESTART_SPACING_S - 1, CORE)
    assert supervised.dispatcher.started == 0, "it may just be slow to start"
    supervised.pass_time(2, CORE)
    assert (supervised.dispatcher.redelivered, supervised.dispatcher.started) == ([True], 1)


def test_one_that_beats_but_does_not_listen_has_some_time(supervised: SupervisedService) -> None:
    supervised.pass_time(RESTART_SPACING_S + 5, CORE, USER)
    supervised.broker.depth = QueueDepth(0, 0)
    supervised.pass_time(ABSENCE_S - 1, CORE, USER)
    assert supervised.dispatcher.started == 0, "it may be connecting again"
    supervised.pass_time(3, CORE, USER)
    assert (supervised.dispatcher.redelivered, supervised.dispatcher.started) == ([True], 1)


def test_a_broker_that_has_just_come_back_gives_it_that_time_again(supervised: SupervisedService) -> None:
    supervised.pass_time(RESTART_SPACING_S + 5, CORE, USER)
    supervised.broker.depth = QueueDepth(0, 0)
    supervised.pass_time(ABSENCE_S - 2, CORE, USER)
    supervised.broker.up_since = supervised.now
    supervised.pass_time(ABSENCE_S - 2, CORE, USER)
    assert supervised.dispatcher.started == 0


@pytest.mark.parametrize("locked", [False, True])
def test_nothing_is_sent_where_the_core_endpoint_is_away_or_stopped(
    supervised: SupervisedService, locked: bool
) -> None:
    supervised.broker.depth = QueueDepth(0, 0)
    if locked:
        supervised.storage.lock_endpoint(CORE)
    supervised.pass_time(300, *((CORE,) if locked else ()))
    assert (supervised.dispatcher.redelivered, supervised.dispatcher.started) == ([], 0)


def test_one_that_listens_and_knows_of_no_task_has_lost_it(supervised: SupervisedService) -> None:
    supervised.pass_time(IDLE_GRACE_S - 1, CORE, USER, **IDLE)
    assert supervised.dispatcher.redelivered == [], "tasks and results may be on their way"
    supervised.pass_time(3, CORE, USER, **IDLE)
    assert supervised.dispatcher.redelivered == [False], "its queue is not emptied: it listens"
    assert supervised.dispatcher.started == 0


def test_tasks_that_wait_in_the_queue_are_not_lost(supervised: SupervisedService) -> None:
    supervised.broker.depth = QueueDepth(1, 1)
    supervised.pass_time(300, CORE, USER, **IDLE)
    assert supervised.dispatcher.redelivered == []


def test_one_that_finishes_tasks_meanwhile_has_not_lost_them(supervised: SupervisedService) -> None:
    """Two heartbeats in a row must find the same number unfinished."""
    supervised.pass_time(IDLE_GRACE_S, CORE, USER, **IDLE)
    for number in range(5):
        supervised.storage.add_tasks(
            [NewTask(str(uuid.UUID(int=200 + number)), FUNCTION, "p")],
            Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=True), now=supervised.now - 2 * IDLE_GRACE_S,
        )  # fmt: skip
        supervised.pass_time(1, CORE, USER, **IDLE)
    assert supervised.dispatcher.redelivered == []


def test_without_a_broker_nothing_happens(supervised: SupervisedService) -> None:
    supervised.broker.depth, supervised.broker.up = QueueDepth(0, 0), False
    supervised.pass_time(100, CORE)
    assert (supervised.dispatcher.redelivered, supervised.dispatcher.started) == ([], 0)


@pytest.mark.parametrize("listeners", [0, 1])
def test_an_old_group_goes_with_its_queue_unless_somebody_listens(
    supervised: SupervisedService, listeners: int
) -> None:
    from prov_worker.localservice.topology import group_queue

    idle = str(uuid.UUID(int=77))
    supervised.storage.add_tasks(
        [], Submission(owner=OWNER, user_endpoint=USER, group=idle, queue=True), now=supervised.now,
    )  # fmt: skip
    queue = group_queue(OWNER, idle)
    supervised.broker.depths[queue] = QueueDepth(0, listeners)
    supervised.now += 3700
    supervised.supervisor.look()
    assert supervised.dispatcher.dropped == ([] if listeners else [queue])
    assert supervised.storage.group_owner(idle) == (OWNER if listeners else None)
    assert supervised.storage.group_owner(GROUP) == OWNER, "its task is not finished"


def test_what_waits_and_does_not_go_out_is_a_stall(supervised: SupervisedService) -> None:
    """The task of these tests is accepted, and no broker confirms it."""
    supervised.pass_time(5, CORE, USER)
    assert supervised.supervisor.stalled == ""
    supervised.pass_time(10, CORE, USER)
    assert supervised.supervisor.stalled == "nothing has gone out for 14 s"
    supervised.broker.blocked = "low on disk"
    assert supervised.supervisor.stalled.endswith("s: the broker takes no messages: low on disk")
    supervised.dispatcher.progress += 1
    supervised.pass_time(1, CORE, USER)
    assert supervised.supervisor.stalled == ""
    supervised.pass_time(20, CORE, USER)
    supervised.storage.apply(Incoming(queued=[1]), now=supervised.now)
    supervised.pass_time(1, CORE, USER)
    assert supervised.supervisor.stalled == "", "nothing waits any more"


def test_a_supervisor_that_has_ended_is_a_stall(supervised: SupervisedService) -> None:
    supervised.pass_time(1, CORE, USER)
    supervised.now += SILENT_S + 1
    assert supervised.supervisor.stalled == "nothing has been looked after for 121 s"


def test_a_queue_that_the_broker_refuses_stops_no_other(supervised: SupervisedService) -> None:
    """Nobody listens to either queue: the second user endpoint is started again all the same."""
    other = str(uuid.UUID(int=98))
    supervised.storage.save_user_endpoint(UserEndpoint(other, CORE, OWNER, {"x": 1}, {}))
    task = NewTask(str(uuid.UUID(int=97)), FUNCTION, "p")
    submission = Submission(owner=OWNER, user_endpoint=other, group=GROUP, queue=True)
    supervised.storage.add_tasks([task], submission, now=supervised.now)
    supervised.broker.depth = QueueDepth(0, 0)
    supervised.broker.odd = {tasks_queue(OWNER, min(USER, other))}
    supervised.pass_time(1, CORE)
    assert supervised.dispatcher.started == 1
