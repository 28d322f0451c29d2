"""What is done to one endpoint: its files are installed, its daemon is found, started and stopped."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from prov_worker.errors import InputError
from prov_worker.fleet import daemon, status
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.result import Outcome
from prov_worker.fleet.state import EndpointRecord
from prov_worker.sites.install import DamagedError, Installed, install

Say = Callable[[str], None]


def install_files(spec: EndpointSpec, record: EndpointRecord, *, force: bool) -> tuple[str, str]:
    """Return which files were changed, in words, and how."""
    new = _is_new(spec)
    folder = ManagedEndpoint(spec)
    try:
        before = folder.owner()
    except DamagedError:
        before = {}
    record.made = new or bool(before.get("made", record.made))
    owner = {"fleet": str(spec.file), "made": record.made}
    written = _install(spec, overwrite=force, owner=owner)
    if new:
        return "created", written.diff
    kept = f" (kept: {', '.join(written.backups)})" if written.backups else ""
    return (f"changed {', '.join(written.written)}{kept}" if written.written else ""), written.diff


def _install(spec: EndpointSpec, **options: Any) -> Installed:
    return install(
        spec.site, spec.name, spec.values, user_dir=spec.user_dir, unbound_host=spec.unbound_host, **options
    )  # fmt: skip


def _is_new(spec: EndpointSpec) -> bool:
    """Return whether there is nothing yet; an empty directory is what a full disk leaves."""
    return not spec.directory.exists() or not any(spec.directory.iterdir())


def would_do(spec: EndpointSpec, record: EndpointRecord, *, force: bool) -> Outcome:
    """Return what ``fleet up`` would do."""
    folder = ManagedEndpoint(spec)
    new = _is_new(spec)
    try:
        written = _install(spec, overwrite=force, dry_run=True)
        process = running(folder, record)
    except InputError as error:
        return Outcome(spec.name, "refused", str(error), good=False)
    clauses = ["would be created" if new else f"would change {', '.join(written.written)}"] if written.written else []
    clauses.append(f"runs as {process}" if process else "would be started")
    return Outcome(spec.name, "dry run", "; ".join(clauses), diff=written.diff)


def running(folder: ManagedEndpoint, record: EndpointRecord) -> str | None:
    """Return which process the daemon is, if it runs; the record learns of one that it does not know.

    Raises:
        InputError: a second one might be started beside one that cannot be seen well.
    """
    core = folder.core(record.seen)
    if core.process is not None:
        if not record.is_of(core.process):
            record.began(core.process)
            record.ran_at = core.process.create_time()
        return f"process {core.process.pid}"
    if status.is_elsewhere(folder, record, core):
        return f"process {core.pid} on {record.host or 'another host'}"
    if core.state == "elsewhere":
        raise InputError(
            f"{folder.pid_file}: was touched {core.touched_s or 0:.0f} s ago by a process that is not here: it runs on "
            "another host, or ended a moment ago; try again in a minute"
        )
    others = folder.cores()
    if others:
        raise InputError(f"{folder.spec.name}: is starting or ending already, as process {others[0].pid}")
    return None


def start(
    spec: EndpointSpec, record: EndpointRecord, environ: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], list[str]]:
    """Start a daemon; also tells what earlier runs had left."""
    folder = ManagedEndpoint(spec)
    cleared = daemon.clear(folder)
    record.forgive()
    present = Launch.now(spec)
    started = daemon.start(folder, environ)
    record.began(daemon.process_of(started), present)
    return started, cleared


def outcome_of(
    spec: EndpointSpec,
    record: EndpointRecord,
    process: subprocess.Popen[bytes],
    problem: str | None,
    changes: str,
    diff: str,
) -> Outcome:
    """Return what came of a start, and note it."""
    if problem is None:
        record.last_error = ""
        record.ran_at = time.time()
        # It lives on without this process, which does not wait for it.
        process.returncode = 0
        return Outcome(spec.name, "started", ", ".join(filter(None, [changes, f"process {process.pid}"])), diff=diff)
    record.last_error = problem
    process.returncode = process.poll() or 0
    return Outcome(spec.name, "not started", problem, good=False, diff=diff)


def stop(spec: EndpointSpec, record: EndpointRecord, done: Say, interrupted: Callable[[], bool]) -> Outcome:
    """Stop a daemon, and what it has left."""
    folder = ManagedEndpoint(spec)
    core = folder.core(record.seen)
    processes = [core.process] if core.process is not None else folder.cores()
    try:
        if processes:
            how = [
                f"process {process.pid} {daemon.stop(folder, process, interrupted=interrupted)}"
                for process in processes
            ]
            record.last_error = ""
            return Outcome(spec.name, "stopped", "; ".join(how))
        if core.state == "elsewhere":
            detail = f"its pid file was touched {core.touched_s or 0:.0f} s ago, by a process that is not here"
            return Outcome(spec.name, "not stopped", detail, good=False)
        if core.state == "stale":
            return Outcome(spec.name, "stopped", "; ".join(daemon.clear(folder)))
        return Outcome(spec.name, "stopped", "; ".join(["did not run", *daemon.end_leftovers(folder)]))
    finally:
        done(spec.name)
