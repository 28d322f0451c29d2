"""Statuses of a fleet's endpoints, after waiting until they are online, or have no task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from prov_worker.errors import InputError
from prov_worker.fleet import daemon, orphans, status
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.fleet.status import Status
from prov_worker.fleet.task_counts import Tally
from prov_worker.globus import endpoint_status
from prov_worker.globus.orphans import PoolProcess, pool_processes
from prov_worker.humanize import plural

#: An engine notes what it has every two seconds: twice nothing in this time is nothing.
_QUIET_S = 5.0
#: An engine that has said nothing for so long is none that does.
_SILENT_S = 60.0
#: A daemon that has run for so long does not end by itself any more.
_SETTLED_S = 6.0
_LIMIT_S = 120.0
#: Conditions of endpoints that are not waited for: those of another host, and those that are not ours.
_OTHERS = ("elsewhere", "foreign")


@dataclass(frozen=True, slots=True)
class Report:
    """How the endpoints of a fleet are.

    Attributes:
        statuses: of the endpoints, in the file's order.
        as_wanted: whether what was waited for has come.
        problem: why the state cannot be understood.
        foreign: interchanges and managers without an engine that the fleet leaves alone.
    """

    statuses: list[Status]
    as_wanted: bool = True
    problem: str | None = None
    foreign: tuple[PoolProcess, ...] = ()


def look(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    online: bool = False,
    drained: bool = False,
    limit_s: float | None = None,
) -> Report:
    """Look at endpoints, after waiting if that is wanted.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        online: wait until the web service calls each endpoint of this host online, and its process has lived for some
            seconds.
        drained: wait until no endpoint of this host has a task.
        limit_s: of the wait; None takes two minutes.

    Raises:
        InputError: a name that the file does not have; with ``online``, credentials that cannot be used.
    """
    limit_s = _LIMIT_S if limit_s is None else limit_s
    deadline = time.monotonic() + limit_s
    specs = fleet.chosen(names)
    tally = Tally()
    busy = _busy(specs, state, limit_s) if drained else {}
    environ = daemon.environment(fleet) if online else {}
    while True:
        records, problem = _records(fleet, state)
        statuses = [status.of(spec, records, tally) for spec in specs]
        mine = [row for row in statuses if row.condition not in _OTHERS]
        settled = all(_settled(row) for row in mine)
        if online and (settled or time.monotonic() >= deadline):
            answers = endpoint_status.ask([row.endpoint_id for row in mine if row.endpoint_id], environ)
            statuses = [_with_answer(row, answers) if row in mine else row for row in statuses]
        are_online = settled and all(row.service == "online" for row in statuses if row.condition not in _OTHERS)
        if not online or are_online or time.monotonic() >= deadline:
            break
        time.sleep(1)
    pool = pool_processes()
    statuses = [
        replace(row, note=busy.get(row.name, row.note), orphans=orphans.of(spec, pool))
        for row, spec in zip(statuses, specs, strict=True)
    ]
    as_wanted = not busy and (are_online or not online)
    return Report(statuses, as_wanted, problem, tuple(orphans.foreign(fleet, pool)))


def _records(fleet: Fleet, state: State) -> tuple[dict[str, EndpointRecord], str | None]:
    try:
        return state.load(), state.damaged
    except InputError as error:
        return {name: EndpointRecord(wanted="unknown") for name in fleet.names}, str(error)


def _settled(row: Status) -> bool:
    return row.condition == "running" and (row.up_s or 0.0) >= _SETTLED_S


def _with_answer(row: Status, answers: dict[str, endpoint_status.EndpointStatus]) -> Status:
    answer = answers.get(row.endpoint_id or "")
    if answer is None:
        return row
    note = row.note if answer.error is None else f"the web service cannot be asked: {answer.error}"
    return replace(row, service=answer.status, note=note)


def _busy(specs: Sequence[EndpointSpec], state: State, limit_s: float) -> dict[str, str]:
    """Wait for endpoints to have no task; why some still have, by name."""
    records = state.load()
    with ThreadPoolExecutor(max(1, len(specs))) as pool:
        why = list(pool.map(lambda spec: until_drained(ManagedEndpoint(spec), records.get(spec.name), limit_s), specs))
    return {spec.name: text for spec, text in zip(specs, why, strict=True) if text is not None}


def until_drained(folder: ManagedEndpoint, record: EndpointRecord | None, timeout_s: float | None) -> str | None:
    """Wait until an endpoint has no task; why it still has, or None.

    Globus Compute has no way to tell an endpoint to take no more: what arrives meanwhile is taken and waited for. What
    arrives after the stop waits at the web service for the next start.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    quiet = silent = None
    tally = Tally()
    record = record or EndpointRecord()
    while True:
        core = folder.core(record.seen)
        elsewhere = status.is_elsewhere(folder, record, core)
        if core.state != "running" and not elsewhere:
            return None
        count = status.outstanding(folder, tally, elsewhere=elsewhere)
        now = time.monotonic()
        if count == 0:
            quiet = quiet if quiet is not None else now
            if now - quiet >= _QUIET_S:
                return None
        else:
            quiet = None
        silent = None if count is not None else silent if silent is not None else now
        if silent is not None and now - silent >= _SILENT_S:
            return "a user endpoint does not tell what it has, as one with another engine"
        if deadline is not None and now >= deadline:
            if count == 0:
                return None
            left = (
                "an engine does not tell what it has"
                if count is None
                else plural(count, "task is not done", "tasks are not done")
            )
            return f"{left} after {timeout_s:g} s"
        time.sleep(0.5)
