"""Commands: create, start, stop and restart endpoints.

A watch that is at work starts what is to be started, and so does the one of a fleet whose host a batch system chooses.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

from prov_worker.errors import InputError
from prov_worker.fleet import daemon, delegate, presence, status, waiting
from prov_worker.fleet import endpoint_actions as actions
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.endpoint_actions import Say
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.result import Outcome, ordered, pick
from prov_worker.fleet.state import Asked, EndpointRecord, State
from prov_worker.fleet.validate import validate

#: Registering takes a second; a slow service and a cold file system take longer.
START_S = 90.0


def _silent(_: str) -> None:
    pass


def up(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    force: bool = False,
    limit_s: float = START_S,
    done: Say = _silent,
) -> list[Outcome]:
    """Make, configure and start endpoints of this host; endpoints already in that state are left unchanged.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        dry_run: change nothing.
        force: also over files that were changed by hand, which are kept.
        limit_s: how long endpoints may take to register.
        done: called with the name of each endpoint that is dealt with.

    Raises:
        InputError: the daemon would refuse a configuration; nothing has been changed or started.
        BusyError: another command is at work.
    """
    here, outcomes = pick(fleet, names, take_over=force, damaged=force)
    # What lies there already is not what will be started: installing refuses it, or writes it again.
    wrong = [verdict for verdict in validate(here, installed=False) if verdict.problem is not None]
    if wrong:
        more = f" (and {len(wrong) - 1} more: fleet validate)" if len(wrong) > 1 else ""
        raise InputError(f"{fleet.path}: {wrong[0].name}: {wrong[0].problem}{more}; nothing was started")
    environ = daemon.environment(fleet)
    watch = presence.read(state.directory)
    if dry_run:
        records = state.load()
        outcomes += [actions.would_do(spec, records.get(spec.name, EndpointRecord()), force=force) for spec in here]
        return ordered(fleet, outcomes)
    with state.records() as records:
        ready: list[EndpointSpec] = []
        changed: dict[str, tuple[str, str]] = {}
        for spec in here:
            record = records.setdefault(spec.name, EndpointRecord())
            try:
                running = actions.running(ManagedEndpoint(spec), record)
                # A pid file that is known to be stale looks to an installation like that of a daemon elsewhere.
                cleared = daemon.clear(ManagedEndpoint(spec)) if running is None else []
                changes, diff = actions.install_files(spec, record, force=force)
            except InputError as error:
                record.last_error = str(error)
                outcomes.append(Outcome(spec.name, "refused", str(error), good=False))
                done(spec.name)
                continue
            record.wanted = "up"
            if running is not None:
                if changes:
                    detail = f"{changes}; its own process has the old one until: fleet restart {spec.name}"
                    outcomes.append(Outcome(spec.name, "configured", detail, diff=diff))
                else:
                    outcomes.append(Outcome(spec.name, "running", running))
                done(spec.name)
                continue
            ready.append(spec)
            changed[spec.name] = "; ".join(filter(None, [*cleared, changes])), diff
        state.save(records)
        if watch is None and not fleet.unbound_host:
            outcomes += _start_all(ready, records, environ, changed, limit_s=limit_s, done=done)
        elif watch is not None:
            delegate.ask(records, ready, "restart")
    if watch is not None or fleet.unbound_host:
        outcomes += _by_watch(state, ready, "restart", watch, changed, limit_s=limit_s, done=done)
    return ordered(fleet, outcomes)


def _by_watch(
    state: State,
    specs: Sequence[EndpointSpec],
    request: Asked,
    watch: presence.Presence | None,
    changed: Mapping[str, tuple[str, str]],
    *,
    limit_s: float,
    done: Say,
) -> list[Outcome]:
    """Wait for the watch, of which it was asked; without one, what it will do when it comes."""
    if watch is None:
        outcomes = [Outcome(spec.name, "left to the watch", "none is at work now; it starts it") for spec in specs]
    elif specs:
        limit_s = delegate.limit_s(request, limit_s)
        outcomes = delegate.wait(state, specs, request, watch, limit_s=limit_s, done=done)
    else:
        outcomes = []
    return [_with_changes(outcome, *changed.get(outcome.name, ("", ""))) for outcome in outcomes]


def _with_changes(outcome: Outcome, changes: str, diff: str) -> Outcome:
    detail = ", ".join(filter(None, [changes if outcome.good else "", outcome.detail]))
    return replace(outcome, detail=detail, diff=diff)


def stop(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    drain: bool = False,
    timeout_s: float | None = None,
    force: bool = False,
    done: Say = _silent,
) -> list[Outcome]:
    """Stop endpoints of this host; they stay stopped until a person starts them.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        drain: stop an endpoint when its tasks are done; one that is not done in time goes on.
        timeout_s: of ``drain``; None waits for ever.
        force: also those whose marker is damaged.
        done: called with the name of each endpoint that is dealt with.

    Raises:
        InputError, BusyError: as :func:`up`.
    """
    here, outcomes = pick(fleet, names, damaged=force)
    here, busy = _drained(here, state, drain=drain, timeout_s=timeout_s)
    outcomes += busy
    watch = presence.read(state.directory)
    with state.records() as records:
        far = [spec for spec in here if _runs_elsewhere(spec, records.get(spec.name, EndpointRecord()))]
        near = [spec for spec in here if spec not in far]
        outcomes += _stop_all(near, state, records, "stopped", done)
        outcomes += _stop_far(far, records, "stopped", watch)
    if watch is not None and far:
        limit_s = delegate.limit_s("stop", 0.0)
        outcomes += delegate.wait(state, far, "stop", watch, limit_s=limit_s, done=done)
    return ordered(fleet, outcomes)


def _runs_elsewhere(spec: EndpointSpec, record: EndpointRecord) -> bool:
    folder = ManagedEndpoint(spec)
    return status.is_elsewhere(folder, record, folder.core(record.seen))


def _stop_far(
    far: Sequence[EndpointSpec],
    records: dict[str, EndpointRecord],
    wanted: Literal["up", "stopped"],
    watch: presence.Presence | None,
) -> list[Outcome]:
    """Have daemons on other hosts end: the watch is asked to, else they miss their pid files."""
    for spec in far:
        records.setdefault(spec.name, EndpointRecord()).wanted = wanted
    if watch is not None:
        delegate.ask(records, far, "stop")
        return []
    outcomes = []
    for spec in far:
        record = records[spec.name]
        detail = f"process {record.pid} on {record.host or 'another host'} ends within a minute, without its pid file"
        daemon.dismiss(ManagedEndpoint(spec))
        record.ended()
        outcomes.append(Outcome(spec.name, "stopped", detail))
    return outcomes


def _drained(
    here: Sequence[EndpointSpec], state: State, *, drain: bool, timeout_s: float | None
) -> tuple[list[EndpointSpec], list[Outcome]]:
    """Return endpoints that may be stopped now, and what is said of the others."""
    if not drain:
        return list(here), []
    records = state.load()
    with ThreadPoolExecutor(max(1, len(here))) as pool:
        why = list(
            pool.map(lambda spec: waiting.until_drained(ManagedEndpoint(spec), records.get(spec.name), timeout_s), here)
        )
    busy = [
        Outcome(spec.name, "not stopped", text, good=False)
        for spec, text in zip(here, why, strict=True)
        if text is not None
    ]
    return [spec for spec, text in zip(here, why, strict=True) if text is None], busy


def _stop_all(
    here: Sequence[EndpointSpec],
    state: State,
    records: dict[str, EndpointRecord],
    wanted: Literal["up", "stopped"],
    done: Say,
) -> list[Outcome]:
    for spec in here:
        records.setdefault(spec.name, EndpointRecord()).wanted = wanted
    # Known to the watch even if this command is killed while it waits.
    state.save(records)
    broken_off = threading.Event()
    with ThreadPoolExecutor(max(1, len(here))) as pool:
        try:
            return list(pool.map(lambda spec: actions.stop(spec, records[spec.name], done, broken_off.is_set), here))
        except BaseException:
            broken_off.set()  # else Ctrl-C would wait for daemons that hang
            raise


def restart(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    stale: bool = False,
    drain: bool = False,
    timeout_s: float | None = None,
    done: Say = _silent,
) -> list[Outcome]:
    """Stop endpoints of this host and start them as they are configured now.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        stale: leave those alone that run with the present software, configuration and credentials.
        drain: restart an endpoint when its tasks are done; one that is not done in time goes on.
        timeout_s: of ``drain``; None waits for ever.
        done: called with the name of each endpoint that is dealt with.

    Raises:
        InputError, BusyError: as :func:`up`.
    """
    environ = daemon.environment(fleet)
    here, outcomes = pick(fleet, names)
    if stale:
        here, current = _stale(here, state)
        outcomes += current
    missing = [spec.name for spec in here if not ManagedEndpoint(spec).directory.exists()]
    if missing:
        raise InputError(f"{missing[0]}: is not created yet: fleet up {missing[0]}")
    here, busy = _drained(here, state, drain=drain, timeout_s=timeout_s)
    outcomes += busy
    watch = presence.read(state.directory)
    if watch is not None or fleet.unbound_host:
        with state.records() as records:
            for spec in here:
                records.setdefault(spec.name, EndpointRecord()).wanted = "up"
            if watch is not None:
                delegate.ask(records, here, "restart")
            else:
                far = [spec for spec in here if _runs_elsewhere(spec, records[spec.name])]
                _stop_far(far, records, "up", None)
                _stop_all([spec for spec in here if spec not in far], state, records, "up", _silent)
        outcomes += _by_watch(state, here, "restart", watch, {}, limit_s=START_S, done=done)
        return ordered(fleet, outcomes)
    with state.records() as records:
        # Wanted up all the while: if this command is broken off, the watch brings them back.
        stopped = {outcome.name: outcome for outcome in _stop_all(here, state, records, "up", _silent)}
        ready = []
        for spec in here:
            if not stopped[spec.name].good:
                outcomes.append(stopped[spec.name])
                continue
            try:
                actions.running(ManagedEndpoint(spec), records[spec.name])
            except InputError as error:
                outcomes.append(Outcome(spec.name, "refused", str(error), good=False))
                continue
            ready.append(spec)
        changed = {spec.name: (stopped[spec.name].detail, "") for spec in ready}
        outcomes += _start_all(ready, records, environ, changed, limit_s=START_S, done=done)
    return ordered(fleet, outcomes)


def _stale(here: Sequence[EndpointSpec], state: State) -> tuple[list[EndpointSpec], list[Outcome]]:
    """Return endpoints that do not run with what is there now, and what is said of the others."""
    records = state.load()
    stale, outcomes = [], []
    for spec in here:
        record, folder = records.get(spec.name, EndpointRecord()), ManagedEndpoint(spec)
        condition = status.condition_of(folder, record, folder.core(record.seen))
        if condition not in ("running", "starting") or record.launch.changes(Launch.now(spec)):
            stale.append(spec)
        else:
            outcomes.append(Outcome(spec.name, condition, "with the present software and configuration"))
    return stale, outcomes


def _start_all(
    ready: Sequence[EndpointSpec],
    records: Mapping[str, EndpointRecord],
    environ: Mapping[str, str],
    changed: Mapping[str, tuple[str, str]],
    *,
    limit_s: float,
    done: Say,
) -> list[Outcome]:
    """Start daemons side by side, and wait until they have registered."""
    outcomes = []
    alone = 1 if ready and daemon.is_first(ready[0].user_dir) else 0
    for batch in (ready[:alone], ready[alone:]):
        started = []
        for spec in batch:
            try:
                started.append((spec, *actions.start(spec, records[spec.name], environ)))
            except OSError as error:
                problem = records[spec.name].last_error = f"{error.filename or spec.directory}: {error.strerror}"
                outcomes.append(Outcome(spec.name, "not started", problem, good=False))
                done(spec.name)
        deadline = time.monotonic() + limit_s
        for spec, process, cleared in started:
            why = daemon.wait_registered(ManagedEndpoint(spec), process, max(1.0, deadline - time.monotonic()))
            changes, diff = changed.get(spec.name, ("", ""))
            changes = "; ".join(filter(None, [*cleared, changes]))
            outcomes.append(actions.outcome_of(spec, records[spec.name], process, why, changes, diff))
            done(spec.name)
    return outcomes
