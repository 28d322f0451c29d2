"""What a person asks for: make and start endpoints, stop them, start them anew."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from prov_worker.errors import InputError
from prov_worker.fleet import daemon, status
from prov_worker.fleet.endpoint import Folder
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.fleet.result import Outcome, ordered, pick
from prov_worker.fleet.state import Record, State
from prov_worker.fleet.task_counts import Tally
from prov_worker.fleet.validate import validate
from prov_worker.globus.processes import Process
from prov_worker.humanize import plural
from prov_worker.sites.install import DamagedError, install

#: Registering takes a second; a slow service and a cold file system take longer.
START_S = 90.0
#: An engine notes what it has every two seconds: twice nothing in this time is nothing.
_QUIET_S = 5.0

#: An engine that has said nothing for so long is none that does.
_SILENT_S = 60.0

Say = Callable[[str], None]


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
    """Make, configure and start endpoints of this host; what is so already stays.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        dry_run: change nothing.
        force: also over files that were changed by hand, which are kept.
        limit_s: how long endpoints may take to register.
        done: told the name of each endpoint that is dealt with.

    Raises:
        InputError: the daemon would refuse a configuration; nothing has been changed or started.
        BusyError: another command is at work.
    """
    here, outcomes = pick(fleet, names, take_over=force, damaged=force)
    # What lies there already is not what will be started: installing refuses it, or writes it anew.
    wrong = [one for one in validate(here, installed=False) if one.problem is not None]
    if wrong:
        more = f" (and {len(wrong) - 1} more: fleet validate)" if len(wrong) > 1 else ""
        raise InputError(f"{fleet.path}: {wrong[0].name}: {wrong[0].problem}{more}; nothing was started")
    environ = daemon.environment(fleet)
    if dry_run:
        records = state.load()
        outcomes += [_would(spec, records.get(spec.name, Record()), force=force) for spec in here]
        return ordered(fleet, outcomes)
    with state.records() as records:
        ready: list[EndpointSpec] = []
        changed: dict[str, tuple[str, str]] = {}
        for spec in here:
            record = records.setdefault(spec.name, Record())
            try:
                running = _refuse_or_running(Folder(spec), record)
                if running is None:
                    # A pid file that is known to be stale looks to an installation like that of a daemon elsewhere.
                    daemon.clear(Folder(spec))
                changes, diff = _install(spec, record, force=force)
            except InputError as error:
                record.last_error = str(error)
                outcomes.append(Outcome(spec.name, "refused", str(error), good=False))
                done(spec.name)
                continue
            record.wanted = "up"
            if running is not None:
                if record.process != running:
                    record.began(running)
                    record.ran_at = running.since
                if changes:
                    detail = f"{changes}; its own process has the old one until: fleet restart {spec.name}"
                    outcomes.append(Outcome(spec.name, "configured", detail, diff=diff))
                else:
                    outcomes.append(Outcome(spec.name, "running", f"process {running.pid}"))
                done(spec.name)
                continue
            ready.append(spec)
            changed[spec.name] = changes, diff
        state.save(records)
        outcomes += _start_all(ready, records, environ, changed, limit_s=limit_s, done=done)
    return ordered(fleet, outcomes)


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
        done: told the name of each endpoint that is dealt with.

    Raises:
        InputError, BusyError: as :func:`up`.
    """
    here, outcomes = pick(fleet, names, damaged=force)
    here, busy = _drained(here, state, drain=drain, timeout_s=timeout_s)
    outcomes += busy
    with state.records() as records:
        outcomes += _stop_all(here, state, records, "stopped", done)
    return ordered(fleet, outcomes)


def _drained(
    here: Sequence[EndpointSpec], state: State, *, drain: bool, timeout_s: float | None
) -> tuple[list[EndpointSpec], list[Outcome]]:
    """Endpoints that may be stopped now, and what is said of the others."""
    if not drain:
        return list(here), []
    records = state.load()
    with ThreadPoolExecutor(max(1, len(here))) as pool:
        why = list(pool.map(lambda spec: drained(Folder(spec), records.get(spec.name), timeout_s), here))
    busy = [
        Outcome(spec.name, "not stopped", text, good=False)
        for spec, text in zip(here, why, strict=True)
        if text is not None
    ]
    return [spec for spec, text in zip(here, why, strict=True) if text is None], busy


def _stop_all(
    here: Sequence[EndpointSpec],
    state: State,
    records: dict[str, Record],
    wanted: Literal["up", "stopped"],
    done: Say,
) -> list[Outcome]:
    for spec in here:
        records.setdefault(spec.name, Record()).wanted = wanted
    # Known to the watch even where this command is killed while it waits.
    state.save(records)
    broken_off = threading.Event()
    with ThreadPoolExecutor(max(1, len(here))) as pool:
        try:
            return list(pool.map(lambda spec: _stop(spec, records[spec.name], done, broken_off.is_set), here))
        except BaseException:
            broken_off.set()  # else Ctrl-C would wait for daemons that hang
            raise


def restart(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    drain: bool = False,
    timeout_s: float | None = None,
    done: Say = _silent,
) -> list[Outcome]:
    """Stop endpoints of this host and start them as they are configured now.

    Raises:
        InputError, BusyError: as :func:`up`.
    """
    environ = daemon.environment(fleet)
    here, outcomes = pick(fleet, names)
    missing = [spec.name for spec in here if not Folder(spec).directory.exists()]
    if missing:
        raise InputError(f"{missing[0]}: is not created yet: fleet up {missing[0]}")
    here, busy = _drained(here, state, drain=drain, timeout_s=timeout_s)
    outcomes += busy
    with state.records() as records:
        # Wanted up all the while: where this command is broken off, the watch brings them back.
        stopped = {one.name: one for one in _stop_all(here, state, records, "up", _silent)}
        ready = []
        for spec in here:
            if not stopped[spec.name].good:
                outcomes.append(stopped[spec.name])
                continue
            try:
                _refuse_or_running(Folder(spec), records[spec.name])
            except InputError as error:
                outcomes.append(Outcome(spec.name, "refused", str(error), good=False))
                continue
            ready.append(spec)
        outcomes += _start_all(ready, records, environ, {}, limit_s=START_S, done=done)
    return ordered(fleet, outcomes)


def drained(folder: Folder, record: Record | None, timeout_s: float | None) -> str | None:
    """Wait until an endpoint has no task; why it still has, or None.

    Globus Compute has no way to tell an endpoint to take no more: what arrives meanwhile is taken and waited for. What
    arrives after the stop waits at the web service for the next start.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    quiet = silent = None
    tally = Tally()
    while True:
        if folder.core(record.process if record else None).state != "running":
            return None
        count = status.outstanding(folder, tally)
        now = time.monotonic()
        if count == 0:
            quiet = quiet if quiet is not None else now
            if now - quiet >= _QUIET_S:
                return None
        else:
            quiet = None
        silent = None if count is not None else silent if silent is not None else now
        if silent is not None and now - silent >= _SILENT_S:
            return "a user endpoint does not tell what it has, as one with another engine; stop it without --drain"
        if deadline is not None and now >= deadline:
            left = (
                "an engine does not tell what it has"
                if count is None
                else plural(count, "task is not done", "tasks are not done")
            )
            return f"{left} after {timeout_s:g} s"
        time.sleep(0.5)


def _start_all(
    ready: Sequence[EndpointSpec],
    records: Mapping[str, Record],
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
                started.append((spec, _start(spec, records[spec.name], environ)))
            except OSError as error:
                problem = records[spec.name].last_error = f"{error.filename or spec.directory}: {error.strerror}"
                outcomes.append(Outcome(spec.name, "not started", problem, good=False))
                done(spec.name)
        deadline = time.monotonic() + limit_s
        for spec, process in started:
            why = daemon.settle(Folder(spec), process, max(1.0, deadline - time.monotonic()))
            outcomes.append(_outcome(spec, records[spec.name], process, why, *changed.get(spec.name, ("", ""))))
            done(spec.name)
    return outcomes


# -- one endpoint --------------------------------------------------------------------------------------------------


def _install(spec: EndpointSpec, record: Record, *, force: bool) -> tuple[str, str]:
    """Which files were changed, in words, and how."""
    new = _is_new(spec)
    folder = Folder(spec)
    try:
        before = folder.owner()
    except DamagedError:
        before = {}
    record.made = new or bool(before.get("made", record.made))
    owner = {"fleet": str(spec.file), "made": record.made}
    written = install(spec.site, spec.name, spec.values, user_dir=spec.user_dir, overwrite=force, owner=owner)
    if new:
        return "created", written.diff
    kept = f" (kept: {', '.join(written.backups)})" if written.backups else ""
    return (f"changed {', '.join(written.written)}{kept}" if written.written else ""), written.diff


def _is_new(spec: EndpointSpec) -> bool:
    """Whether there is nothing yet; an empty directory is what a full disk leaves."""
    return not spec.directory.exists() or not any(spec.directory.iterdir())


def _would(spec: EndpointSpec, record: Record, *, force: bool) -> Outcome:
    folder = Folder(spec)
    new = _is_new(spec)
    try:
        written = install(spec.site, spec.name, spec.values, user_dir=spec.user_dir, overwrite=force, dry_run=True)
        running = _refuse_or_running(folder, record)
    except InputError as error:
        return Outcome(spec.name, "refused", str(error), good=False)
    words = ["would be created" if new else f"would change {', '.join(written.written)}"] if written.written else []
    words.append(f"runs as process {running.pid}" if running else "would be started")
    return Outcome(spec.name, "dry run", "; ".join(words), diff=written.diff)


def _refuse_or_running(folder: Folder, record: Record) -> Process | None:
    """The daemon, where it runs.

    Raises:
        InputError: a second one might be started beside one that cannot be seen well.
    """
    core = folder.core(record.process)
    if core.state == "running":
        return core.process
    if core.state == "elsewhere":
        raise InputError(
            f"{folder.pid_file}: was touched {core.touched_s or 0:.0f} s ago by a process that is not here: it runs on "
            "another host, or ended a moment ago; try again in a minute"
        )
    others = folder.cores()
    if others:
        raise InputError(f"{folder.spec.name}: is starting or ending already, as process {others[0].pid}")
    return None


def _start(spec: EndpointSpec, record: Record, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    folder = Folder(spec)
    daemon.clear(folder)
    record.forgive()
    started = daemon.start(folder, environ)
    record.began(daemon.process_of(started))
    return started


def _outcome(
    spec: EndpointSpec, record: Record, process: subprocess.Popen[bytes], problem: str | None, changes: str, diff: str
) -> Outcome:
    if problem is None:
        record.last_error = ""
        record.ran_at = time.time()
        # It lives on without this process, which does not wait for it.
        process.returncode = 0
        return Outcome(spec.name, "started", ", ".join(filter(None, [changes, f"process {process.pid}"])), diff=diff)
    record.last_error = problem
    process.returncode = process.poll() or 0
    return Outcome(spec.name, "not started", problem, good=False, diff=diff)


def _stop(spec: EndpointSpec, record: Record, done: Say, interrupted: Callable[[], bool]) -> Outcome:
    folder = Folder(spec)
    core = folder.core(record.process)
    running = [core.process] if core.process is not None else folder.cores()
    try:
        if running:
            how = [f"process {one.pid} {daemon.stop(folder, one, interrupted=interrupted)}" for one in running]
            record.last_error = ""
            return Outcome(spec.name, "stopped", "; ".join(how))
        if core.state == "elsewhere":
            detail = f"its pid file was touched {core.touched_s or 0:.0f} s ago, by a process that is not here"
            return Outcome(spec.name, "not stopped", detail, good=False)
        if core.state == "stale":
            return Outcome(spec.name, "stopped", "; ".join(daemon.clear(folder)))
        return Outcome(spec.name, "stopped", "did not run")
    finally:
        done(spec.name)
