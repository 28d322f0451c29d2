"""Redelivery: tasks that a user endpoint accepted but never finished, and messages lost in an outage.

A user endpoint acknowledges a task as soon as its engine has it, so the broker cannot give it to the next one: the
service does. Three signs say that a user endpoint has lost its tasks, while its core endpoint is there:

1. nobody listens to its queue, and its heartbeats have stopped or said goodbye, or nobody has listened for a while;
2. the core endpoint has registered again, and nobody listens;
3. it listens, and two heartbeats in a row know of no task, although some are unfinished (results that were on their way
   when the broker went down).

Tasks are thus run at least once; of two results the first one counts.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout

from prov_worker.humanize import plural
from prov_worker.localservice import topology
from prov_worker.localservice.accounts import Accounts
from prov_worker.localservice.broker import Broker
from prov_worker.localservice.channel import BrokerDownError, RefusedError
from prov_worker.localservice.dispatcher import Dispatcher
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import OpenWork
from prov_worker.localservice.storage import Storage

_log = logging.getLogger(__name__)

#: At most one restart of a user endpoint in this time: it may just be slow to start.
RESTART_SPACING_S = 30.0
#: A user endpoint that is alive comes back to a broker within ten seconds.
ABSENCE_S = 20.0
#: Tasks and results may be on their way, unseen by heartbeats, for so long: a user endpoint connects its publisher of
#: results up to ten seconds later than its publisher of heartbeats.
IDLE_GRACE_S = 20.0
#: A round waits for answers of the broker, each for ten seconds at most.
SILENT_S = 120.0
_FORGET_EVERY_S = 60.0
_FORGET_AT_ONCE = 5000


class Supervisor:
    """A thread that looks every ``tick_s`` seconds."""

    def __init__(
        self,
        storage: Storage,
        broker: Broker,
        dispatcher: Dispatcher,
        accounts: Accounts,
        metrics: Metrics,
        *,
        retain_s: float,
        tick_s: float = 2.0,
        stall_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._broker = broker
        self._dispatcher = dispatcher
        self._accounts = accounts
        self._metrics = metrics
        self._retain_s = retain_s
        self._tick_s = tick_s
        self._stall_s = stall_s
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._absent_since: dict[str, float] = {}
        #: First of a row of heartbeats that knew of no task: when it was heard, and how many tasks were unfinished.
        self._idle_since: dict[str, tuple[float, int]] = {}
        self._forgot = 0.0
        self._looked = 0.0
        #: What the dispatcher had sent at the last look, and since when it is the same although something waits.
        self._progress = 0
        self._stuck_since: float | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.look()
            except (BrokerDownError, FutureTimeout) as error:
                _log.info("supervisor: the broker is away: %s", error)
            except sqlite3.Error as error:
                _log.error("supervisor: %s", error)
            except Exception:
                # Whatever it is, the next round goes on with all the others.
                _log.exception("supervisor: this round ended early")
            self._wake.wait(self._tick_s)
            self._wake.clear()

    def look(self) -> None:
        """Do one round.

        Raises:
            BrokerDownError: the broker went away meanwhile; the next round continues.
        """
        now = self._clock()
        self._looked = now
        if not self._broker.up:
            return
        self._watch_progress(now)
        if now - self._forgot >= _FORGET_EVERY_S:
            self._forgot = now
            self._forget(now)
        self._accounts.ensure()
        self._dispatcher.publish_tasks()
        self._dispatcher.forward_waiting()
        work = self._storage.open_work()
        endpoint_ids = {each.user_endpoint.id for each in work}
        for memory in (self._absent_since, self._idle_since):
            for gone in set(memory) - endpoint_ids:
                del memory[gone]
        for each in work:
            if each.core.locked or not each.core.pulse.online(now):
                continue
            try:
                self._look_after(each, now)
            except RefusedError as error:
                _log.warning("user endpoint %s: the broker refuses its queue: %s", each.user_endpoint.id, error)

    def _watch_progress(self, now: float) -> None:
        progress = self._dispatcher.progress
        if progress != self._progress or not self._storage.waiting():
            self._progress, self._stuck_since = progress, None
        elif self._stuck_since is None:
            self._stuck_since = now

    @property
    def stalled(self) -> str:
        """Why nothing goes out although something waits; empty if all is well."""
        now = self._clock()
        if self._looked and now - self._looked > SILENT_S:
            return f"nothing has been looked after for {now - self._looked:.0f} s"
        if not self._broker.up or self._stuck_since is None or now - self._stuck_since < self._stall_s:
            return ""
        stuck = f"nothing has gone out for {now - self._stuck_since:.0f} s"
        return f"{stuck}: the broker takes no messages: {self._broker.blocked}" if self._broker.blocked else stuck

    def _look_after(self, work: OpenWork, now: float) -> None:
        endpoint = work.user_endpoint
        queue = topology.tasks_queue(endpoint.owner, endpoint.id)
        depth = self._broker.declare_queue(queue).result(10)
        if depth.consumers:
            self._absent_since.pop(endpoint.id, None)
            if depth.messages == 0:
                self._look_for_lost(work)
            return
        self._idle_since.pop(endpoint.id, None)
        absent_s = now - self._absent_since.setdefault(endpoint.id, now)
        if now - endpoint.started < RESTART_SPACING_S:
            return
        if endpoint.pulse.online(now) and min(absent_s, now - self._broker.up_since) < ABSENCE_S:
            return
        number = self._dispatcher.redeliver(endpoint, purge=True)
        _log.warning("user endpoint %s is gone: starting it again with %d unfinished tasks", endpoint.id, number)
        self._dispatcher.command_start(endpoint, at_once=True)

    def _look_for_lost(self, work: OpenWork) -> None:
        endpoint, pulse = work.user_endpoint, work.user_endpoint.pulse
        counts = [pulse.report.get(key) for key in ("outstanding_tasks", "pending_tasks")]
        if counts != [0, 0] or pulse.heard < max(work.newest, self._broker.up_since) + IDLE_GRACE_S:
            self._idle_since.pop(endpoint.id, None)
            return
        first, unfinished = self._idle_since.setdefault(endpoint.id, (pulse.heard, work.unfinished))
        if unfinished != work.unfinished:
            self._idle_since[endpoint.id] = (pulse.heard, work.unfinished)
        elif pulse.heard > first:
            del self._idle_since[endpoint.id]
            number = self._dispatcher.redeliver(endpoint, purge=False)
            _log.warning("user endpoint %s has lost %s: sending again", endpoint.id, plural(number, "task"))

    def _forget(self, now: float) -> None:
        before = now - self._retain_s
        while True:
            deleted = self._storage.forget(before, _FORGET_AT_ONCE)
            if deleted:
                self._metrics.add("prov_service_tasks_forgotten_total", deleted)
            if deleted < _FORGET_AT_ONCE:
                break
        groups = {group: topology.group_queue(owner, group) for owner, group in self._storage.idle_groups(before)}
        # A program that still listens may submit more; its group stays.
        depths = {group: self._broker.declare_queue(queue) for group, queue in groups.items()}
        unheard = [group for group, depth in depths.items() if not depth.result(10).consumers]
        # The queues first: a group that is forgotten leaves no trace of its queue's name.
        self._dispatcher.queues.drop([groups[group] for group in unheard])
        self._storage.forget_groups(unheard, before)
