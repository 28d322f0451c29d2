"""Leave starts and stops to the watch: what it starts belongs to its service manager or batch job, or to its host."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from prov_worker.fleet import launch, presence
from prov_worker.fleet.daemon import DISMISSED_S, STOP_S
from prov_worker.fleet.fleetfile import EndpointSpec
from prov_worker.fleet.presence import Presence
from prov_worker.fleet.result import Outcome
from prov_worker.fleet.state import Asked, EndpointRecord, State

#: A daemon that ends by itself after it has registered, does so within this.
_SETTLE_S = 5.0
#: For a watch to take what is asked of it, and to become another version first.
_TAKE_S = 90.0


def ask(records: dict[str, EndpointRecord], specs: Sequence[EndpointSpec], request: Asked) -> None:
    """Note in the records, which the caller saves, what the watch is to do."""
    software = launch.software()
    for spec in specs:
        record = records.setdefault(spec.name, EndpointRecord())
        record.forgive()
        record.ask(request, software)


def wait(
    state: State,
    specs: Sequence[EndpointSpec],
    request: Asked,
    watch: Presence,
    *,
    limit_s: float,
    done: Callable[[str], None],
) -> list[Outcome]:
    """Wait until the watch has done what it was asked for.

    Args:
        state: of the fleet.
        specs: endpoints.
        request: what was asked for all of them.
        watch: that was at work when it was asked.
        limit_s: for a daemon to register, or to end, after the watch has taken it on.
        done: called with the name of each endpoint that is dealt with.
    """
    records = state.load()
    waits = {
        spec.name: _Wait(records.get(spec.name, EndpointRecord()), request, limit_s, spec.unbound_host)
        for spec in specs
    }
    outcomes: dict[str, Outcome] = {}
    while len(outcomes) < len(waits):
        time.sleep(0.5)
        present = presence.read(state.directory)
        records = state.load()
        for name in waits.keys() - outcomes.keys():
            outcome = waits[name].look(name, records.get(name, EndpointRecord()), present, watch)
            if outcome is not None:
                outcomes[name] = outcome
                done(name)
    _withdraw(state, [name for name, each in waits.items() if not each.taken])
    return list(outcomes.values())


def _withdraw(state: State, names: Sequence[str]) -> None:
    """Ask no more for what was not done: a watch that comes later must not do it then."""
    if not names:
        return
    with state.records() as records:
        for name in names:
            if name in records:
                records[name].asked = ""


class _Wait:
    """What is waited for with one endpoint."""

    def __init__(self, record: EndpointRecord, request: Asked, limit_s: float, unbound_host: bool) -> None:
        self.what = request
        self.unbound_host = unbound_host
        self.asked_at = record.asked_at
        self.limit_s = limit_s
        self.deadline = time.monotonic() + _TAKE_S
        self.taken = False
        self.up_since: float | None = None

    def look(self, name: str, record: EndpointRecord, present: Presence | None, watch: Presence) -> Outcome | None:
        """Return how it went; None while that is open."""
        now = time.monotonic()
        if not self.taken and record.taken_at >= self.asked_at:
            self.taken, self.deadline = True, now + self.limit_s
        if not self.taken and (present is None or now >= self.deadline):
            return self._not_taken(name, present, watch)
        if not self.taken:
            return None
        return self._stopped(name, record) if self.what == "stop" else self._started(name, record, now)

    def _not_taken(self, name: str, present: Presence | None, watch: Presence) -> Outcome:
        if present is None and self.unbound_host and self.what == "restart":
            return Outcome(name, "left to the watch", f"the one on {watch.host} has ended; the next one starts it")
        watch, mine = present or watch, launch.software()
        why = "has ended" if present is None else f"has not done it in {_TAKE_S:.0f} s"
        if present is not None and watch.software != mine and self.what == "restart":
            why = f"is {watch.software}, and this is {mine}: use the command of that environment"
        return Outcome(name, f"not {self._past}", f"the watch on {watch.host} (process {watch.pid}) {why}", good=False)

    def _stopped(self, name: str, record: EndpointRecord) -> Outcome:
        return Outcome(name, "stopped", f"by the watch on {record.host or 'this host'}")

    def _started(self, name: str, record: EndpointRecord, now: float) -> Outcome | None:
        if record.down_at and record.last_error:
            return Outcome(name, "not started", record.last_error, good=False)
        if record.ran_at and not record.down_at:
            self.up_since = self.up_since or now
            if now - self.up_since >= _SETTLE_S:
                return Outcome(name, "started", f"process {record.pid} on {record.host}, by the watch")
        if now >= self.deadline:
            return Outcome(name, "not started", f"has not registered after {self.limit_s:.0f} s", good=False)
        return None

    @property
    def _past(self) -> str:
        return "stopped" if self.what == "stop" else "started"


def limit_s(request: Asked, start_s: float) -> float:
    """Return how long a daemon may take that may have to be ended first, also on another host."""
    return STOP_S if request == "stop" else STOP_S + DISMISSED_S + start_s
