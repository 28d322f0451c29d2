"""Timers: kept, and one thread that begins their runs when their time has come.

A run has an id that follows from its timer and its number: whenever the service ends, by SIGKILL too, the next one
begins what has not begun, and nothing twice. Of the times that passed meanwhile, one is made up for.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.sqlite.timers import TimerStore
from prov_worker.localservice.timers import documents, requests
from prov_worker.localservice.timers.calls import Calls, ConsentNeededError
from prov_worker.localservice.timers.errors import TimersError, invalid
from prov_worker.localservice.timers.records import ENDED, INACTIVE, LOADED, NEW, Timer

_log = logging.getLogger(__name__)
#: The thread looks so often at least; after an error of the state, and of what cannot be begun now.
_LONGEST_SLEEP_S, _AWAY_S = 60.0, 5.0
#: What cannot be begun now is tried for half the interval, and for so long at most
#: (https://docs.globus.org/api/timers/timer-schedules/, "Retries").
_RETRY_S = 45 * 60.0
#: Answers after which it is tried again.
_LATER = (409, 429, 500, 503)
_MOST_RESULTS, _MOST_TIMERS = 100, 1000
_BY_USER = {"cause": "user"}


class Timers:
    """All timers; every method shows an identity only its own.

    Args:
        store: what is durable.
        identities: who has timers.
        calls: what they begin.
    """

    def __init__(self, store: TimerStore, identities: Identities, calls: Calls) -> None:
        self._store, self._identities, self._calls = store, identities, calls
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="timers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; timers go on when the service does."""
        self._ended.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    # What is asked for -----------------------------------------------------------------------------------------------

    def create(self, identity: Identity, document: Any) -> dict[str, Any]:
        """Make a timer, as the second interface does.

        Raises:
            TimersError: 403, 404, 422.
        """
        timer = requests.timer_of(identity.client_id, document, time.time())
        self._add(identity, timer)
        return documents.new_document(timer)

    def create_job(self, identity: Identity, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a timer, as the first interface does; errors are those of :meth:`create`."""
        timer = requests.job_of(identity.client_id, document, time.time())
        self._add(identity, timer)
        return self.shown(identity, timer)

    def _add(self, identity: Identity, timer: Timer) -> None:
        if len(self._store.timers(identity.client_id)) >= _MOST_TIMERS:
            raise TimersError(403, "TIMER_LIMIT_EXCEEDED", f"an identity has {_MOST_TIMERS} timers at most")
        try:
            self._calls.check(identity, timer, timer.submitted)
        except ConsentNeededError as error:
            raise TimersError(403, "ConsentRequired", "Missing required consent", error.document) from None
        self._store.add(timer)
        self._changed.set()

    def timers(self, identity: Identity) -> list[dict[str, Any]]:
        """Return the timers of an identity, oldest first."""
        return [self.shown(identity, timer) for timer in self._store.timers(identity.client_id)]

    def timer(self, identity: Identity, timer_id: str) -> Timer:
        """Return a timer of an identity.

        Raises:
            TimersError: 404.
        """
        timer = self._store.timer(timer_id)
        if timer is None or timer.owner != identity.client_id:
            raise TimersError(404, "NOT_FOUND", f"No timer exists with the id {timer_id}")
        return timer

    def shown(self, identity: Identity, timer: Timer) -> dict[str, Any]:
        """Return a timer as the first interface does."""
        results = [
            {
                "data": self._calls.shown(identity, timer, result["id"]),
                "errors": result["errors"],
                "status": result["status"],
                "ran_at": documents.time_text(result["time"]),
                "run_id": result["id"],
            }
            for result in reversed(timer.results)
        ]
        return documents.job_document(timer, results, under_way=self._calls.under_way(identity, timer))

    def update(self, identity: Identity, timer_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Change the name of a timer.

        Raises:
            TimersError: 404, 422: something else than its name.
        """
        for key in document:
            if key != "name":
                raise invalid(key, "only the name is changed here; delete the timer and make another one")

        def renamed(timer: Timer) -> Timer:
            return replace(timer, name=requests.name_of(document.get("name")))

        return self.shown(identity, self._change(identity, timer_id, renamed))

    def pause(self, identity: Identity, timer_id: str) -> None:
        """Let a timer begin nothing until it is resumed."""

        def paused(timer: Timer) -> Timer:
            if timer.status == ENDED:
                raise TimersError(409, "CONFLICT", "the timer has ended")
            return timer if timer.status == INACTIVE else replace(timer, status=INACTIVE, wake=None, reason=_BY_USER)

        self._change(identity, timer_id, paused)

    def resume(self, identity: Identity, timer_id: str) -> None:
        """Let a timer that is inactive go on with the next of its times."""
        now = time.time()

        def resumed(timer: Timer) -> Timer:
            if timer.status != INACTIVE:
                raise TimersError(409, "CONFLICT", f"the timer is not inactive: {timer.status}")
            # A time that passed is left out, but for the only one.
            tick, schedule = timer.tick, timer.schedule
            if tick is not None and schedule.interval is not None and schedule.tick(tick) < now:
                tick = schedule.next_after(tick, now, timer.runs + timer.errors)
            return _with_tick(replace(timer, reason=None, status=LOADED, retry_since=None), tick)

        self._change(identity, timer_id, resumed)
        self._changed.set()

    def delete(self, identity: Identity, timer_id: str) -> dict[str, Any]:
        """Forget a timer; what it has begun goes on."""
        timer = self.timer(identity, timer_id)
        self._store.delete(timer.id)
        return self.shown(identity, timer)

    def _change(self, identity: Identity, timer_id: str, change: Callable[[Timer], Timer]) -> Timer:
        """Change a timer, again if something else has changed it meanwhile."""
        while True:
            timer = self.timer(identity, timer_id)
            changed = change(timer)
            if self._store.change(timer, changed):
                return changed

    # What happens by itself ------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._ended.is_set():
            self._changed.clear()
            try:
                for timer in self._store.due(time.time()):
                    if self._ended.is_set():
                        return
                    self._store.change(timer, self._looked_at(timer, time.time()))
                wake = self._store.next_wake()
            except sqlite3.Error as error:  # a full disk, mostly
                _log.error("timers: the state cannot be kept now: %s", error)
                wake = time.time() + _AWAY_S
            pause = _LONGEST_SLEEP_S if wake is None else min(max(wake - time.time(), 0.0), _LONGEST_SLEEP_S)
            self._changed.wait(pause)

    def _looked_at(self, timer: Timer, now: float) -> Timer:
        identity = self._identities.get(timer.owner)
        tick = timer.tick
        if identity is None or tick is None:
            return replace(timer, wake=now + _LONGEST_SLEEP_S if identity is None else None)
        if timer.status == NEW:
            timer = replace(timer, status=LOADED)
        if timer.schedule.tick(tick) > now:
            return _with_tick(timer, tick)
        try:
            if self._calls.under_way(identity, timer):
                return self._next(timer, now)
            return self._begun(identity, timer, now)
        except sqlite3.Error:
            raise
        except Exception as error:  # a fault here must end one run alone
            _log.exception("timer %s", timer.id)
            return self._next(_noted(timer, "", now, 500, [f"{type(error).__name__}: {error}"[:500]]), now)

    def _begun(self, identity: Identity, timer: Timer, now: float) -> Timer:
        call_id = str(uuid.uuid5(uuid.UUID(timer.id), str(timer.tick)))
        try:
            self._calls.begin(identity, timer, call_id, now)
        except ConsentNeededError as error:
            reason = {"cause": "globus_auth_requirements", "detail": error.document}
            return replace(timer, status=INACTIVE, wake=None, reason=reason)
        except ApiError as error:
            since = timer.retry_since or now
            patience = _RETRY_S if timer.schedule.interval is None else min(timer.schedule.interval / 2, _RETRY_S)
            if error.status in _LATER and now - since < patience:
                return replace(timer, retry_since=since, wake=now + _AWAY_S)
            return self._next(_noted(timer, call_id, now, error.status, [error.reason]), now)
        return self._next(_noted(timer, call_id, now, 202, None), now)

    def _next(self, timer: Timer, now: float) -> Timer:
        assert timer.tick is not None
        return _with_tick(timer, timer.schedule.next_after(timer.tick, now, timer.runs + timer.errors))


def _with_tick(timer: Timer, tick: int | None) -> Timer:
    """Return a timer that waits for a run, or has ended if there is none."""
    if tick is None:
        return replace(timer, tick=None, status=ENDED, wake=None)
    return replace(timer, tick=tick, wake=timer.schedule.tick(tick))


def _noted(timer: Timer, call_id: str, now: float, status: int, errors: list[str] | None) -> Timer:
    """Return a timer with one more run, or one that could not be begun."""
    result = {"id": call_id, "time": now, "status": status, "errors": errors}
    return replace(
        timer,
        runs=timer.runs + (errors is None),
        errors=timer.errors + (errors is not None),
        began=now if errors is None else timer.began,
        results=[*timer.results, result][-_MOST_RESULTS:],
        retry_since=None,
    )
