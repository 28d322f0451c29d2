"""Starts and ends the stock daemon of an endpoint, ``globus-compute-endpoint start NAME``, in its own session."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from prov_worker.errors import InputError
from prov_worker.fleet import credentials, logs
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.globus import orphans, processes

PROGRAM = "globus-compute-endpoint"
#: A daemon that ends after its pid file is there, does so when it asks who its user is: within a second.
_SETTLE_S = 2.0
#: The daemon gives its user endpoints ten seconds twice.
STOP_S = 40.0
#: After this a daemon on another host has missed its pid file, and has ended.
DISMISSED_S = 60.0
_GRACE_S = 8.0
_CONSOLE_BYTES = 1 << 20


def environment(fleet: Fleet) -> Mapping[str, str]:
    """Return what daemons of a fleet run with.

    Raises:
        InputError: there is no Globus Compute here, or the credentials cannot be used.
    """
    return credentials.environment(fleet.credentials, fleet.user_dir, program().parent)


def program() -> Path:
    """Return the daemon's program: beside this interpreter, else on the path.

    Raises:
        InputError: neither.
    """
    beside = Path(sys.executable).parent / PROGRAM
    if beside.exists():
        return beside
    path = shutil.which(PROGRAM)
    if path is None:
        raise InputError(f"{PROGRAM}: not installed (pip install 'prov-worker[endpoint]')")
    return Path(path)


def is_first(user_dir: Path) -> bool:
    """Return whether a daemon that is started now would be the first to log in from a directory.

    It makes the storage of tokens (globus_compute_sdk.sdk.auth.token_storage): others that make it at the same time
    fail.
    """
    return not (user_dir / "storage.db").exists()


def start(folder: ManagedEndpoint, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a daemon; it lives on when this process ends.

    The caller has made sure that none runs.

    Raises:
        OSError: there is no space for what it prints, or it cannot be executed.
    """
    console = folder.console
    with contextlib.suppress(FileNotFoundError):
        if console.stat().st_size > _CONSOLE_BYTES:
            os.replace(console, console.with_suffix(".log.1"))
    descriptor = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, logs.start_line(folder.spec.name, credentials.missing(environ)).encode())
        return subprocess.Popen(
            [str(program()), "start", folder.spec.name],
            env=environ,
            cwd=os.path.expanduser("~") if os.path.isdir(os.path.expanduser("~")) else "/",
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def clear(folder: ManagedEndpoint, *, interrupted: Callable[[], bool] = lambda: False) -> list[str]:
    """Take away what earlier runs of an endpoint left, before the next one starts.

    The caller has made sure that no daemon runs and that the pid file, if there is one, is stale.

    Returns:
        What was done, in words.
    """
    done = end_leftovers(folder, interrupted=interrupted)
    if interrupted():
        return done
    if folder.pid_file.exists():
        folder.pid_file.unlink(missing_ok=True)
        done.append("removed a stale daemon.pid")
    if cleaned := folder.clean():
        done.append(f"removed stale daemon.pid of {', '.join(cleaned)}")
    return done


def end_leftovers(folder: ManagedEndpoint, *, interrupted: Callable[[], bool] = lambda: False) -> list[str]:
    """End the processes of an endpoint without a daemon: user endpoints first, which end what is theirs.

    Returns:
        What was done, in words.
    """
    abandoned = folder.abandoned()
    killed = processes.end(abandoned, _GRACE_S, interrupted=interrupted)
    left = [] if interrupted() else folder.orphans()
    remaining = orphans.end(left, interrupted=interrupted)
    names = [*(f"user endpoint {process.pid}" for process in abandoned), *orphans.names(left)]
    done = [f"ended processes of an earlier run: {', '.join(names)}"] if names else []
    stuck = [process.pid for process in (*killed, *remaining) if processes.is_alive(process)]
    if stuck and not interrupted():
        done.append(f"processes {', '.join(map(str, stuck))} of an earlier run do not end, not by SIGKILL either")
    return done


def wait_registered(folder: ManagedEndpoint, started: subprocess.Popen[bytes], limit_s: float) -> str | None:
    """Wait until a daemon that was started has registered, and stays.

    Returns:
        None if it runs; else why it does not.
    """
    from prov_worker.fleet.logs import last_of_start

    deadline = time.monotonic() + limit_s
    settled = None
    while time.monotonic() < deadline:
        if (code := started.poll()) is not None:
            return f"ended with {exit_words(code)}: {last_of_start(folder)}"
        if settled is None and folder.core().process == process_of(started):
            settled = time.monotonic()
        if settled is not None and time.monotonic() - settled >= _SETTLE_S:
            return None
        time.sleep(0.1)
    return f"has not registered after {limit_s:.0f} s: {last_of_start(folder)}"


def process_of(started: subprocess.Popen[bytes]) -> psutil.Process:
    """Return a process that was started here, and not waited for yet: it keeps its id even if it has ended."""
    return psutil.Process(started.pid)


def stop(
    folder: ManagedEndpoint,
    process: psutil.Process,
    limit_s: float = STOP_S,
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> str:
    """End a daemon and what belongs to it.

    Returns:
        How, in words.
    """
    killed = processes.end([process], limit_s, interrupted=interrupted)
    if interrupted():
        return "was asked to end"
    done = ["did not end in time, killed" if killed else "ended", *end_leftovers(folder)]
    if killed:
        folder.pid_file.unlink(missing_ok=True)
        folder.clean()
    return "; ".join(done)


def dismiss(folder: ManagedEndpoint) -> None:
    """Have a daemon on another host end: no signal reaches it, and it ends by itself once its pid file is gone.

    It looks every 15 s, and gives its user endpoints ten seconds twice.
    """
    folder.pid_file.unlink(missing_ok=True)


def exit_words(code: int) -> str:
    """Return an exit status as people read it."""
    import signal

    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
