"""The agent's two processes: set-up, the loops, and the end.

The first process samples; its child finishes records. They are joined by one socket that carries pickled ticks, and
each ends when the other does. The sampler never waits for its child: what the socket does not take is kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prov_worker import __version__, files, locks
from prov_worker.agent.live.snapshot import SharedSnapshot
from prov_worker.agent.log import JsonLines
from prov_worker.agent.priority import IN_A_BURST, WRITING, Priority
from prov_worker.agent.runtime_lock import RuntimeLock
from prov_worker.spool import launch
from prov_worker.spool.agent_about import ABOUT, FINALISER_LOCK, RINGS_VERSION
from prov_worker.spool.live import SOCKET
from prov_worker.spool.paths import SLOT_PREFIX, place_of
from prov_worker.spool.ring_format import RINGS
from prov_worker.spool.stream_request import is_request

log = logging.getLogger(__name__)

GRACE_S = 3.0
#: After SIGTERM: how long dying workers are waited for. PBS sends SIGKILL ten seconds after SIGTERM.
TERM_GRACE_S = 2.0
#: After the last worker: how long refused crates are tried again before they are left to `prov-worker recover`.
STUCK_GRACE_S = 60.0
_LOCK_PATIENCE_S = 0.3
#: An agent that lost its other half starts another one, unless it came to that at once.
_RESPAWN_AFTER_S = 5.0
_MAX_BACKLOG_BYTES = 64 << 20
#: Of each half of the agent: what it allocates (RLIMIT_DATA), some 40 MB as a rule, and descriptors, a few per worker.
_MAX_DATA_BYTES = 4 << 30
_MAX_FILES = 65_536
_LENGTH = struct.Struct("<I")
_SLICE_S = 0.02


def main(runtime: str, crate_dir: str) -> None:
    """Run the agent of a runtime directory until its workers are gone; leaves at once if one runs already."""
    with contextlib.suppress(OSError):
        os.setsid()
    stop = _Stop()  # before anybody can know of this process
    os.umask(0o077)
    os.chdir("/")
    _lift_limits()
    lock = launch.open_lock(runtime)
    # Tried for a moment: who asks whether an agent lives holds it for microseconds.
    if not locks.lock(lock, _LOCK_PATIENCE_S):
        return
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(runtime, launch.STARTING))
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with contextlib.suppress(OSError):
        # a worker's affinity is for its task; the agent goes where there is space
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    ours, theirs = socket.socketpair()
    shared = SharedSnapshot()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ours.close()
            os.close(lock)  # the sampler's alone: the file system of the crates may hold this process for minutes
            began = time.monotonic()
            abandoned, status = _finish(runtime, crate_dir, theirs, shared)
            if abandoned and time.monotonic() - began > _RESPAWN_AFTER_S:
                _start_successor(runtime, crate_dir)
        except BaseException:
            log.exception("the finaliser failed; its records are kept")
        finally:
            logging.shutdown()
            os._exit(status)
    theirs.close()
    held = RuntimeLock(runtime, lock)
    _describe(runtime, crate_dir, child)
    began = time.monotonic()
    orphaned = False
    try:
        orphaned = _sample(runtime, held, ours, shared, stop, lambda: _describe(runtime, crate_dir, child))
    except Exception:
        log.exception("the sampler failed")
    finally:
        ours.close()
        status = 1
        with contextlib.suppress(ChildProcessError):
            status = os.waitpid(child, 0)[1]
        if held.is_ours:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(runtime, ABOUT))
        if status == 0 and held.is_ours:
            _tidy(runtime)
    os.close(held.descriptor)
    if orphaned and time.monotonic() - began > _RESPAWN_AFTER_S:
        _start_successor(runtime, crate_dir)


def _start_successor(runtime: str, crate_dir: str) -> None:
    """Start another agent: workers that rest would not.

    A killed process lets its socket go before its lock, on a busy machine some time before.
    """
    until = time.monotonic() + _RESPAWN_AFTER_S
    while launch.agent_lives(runtime) and time.monotonic() < until:
        time.sleep(0.02)
    launch.ensure_agent(runtime, crate_dir)


def _lift_limits() -> None:
    """Take back what the user's code allowed its own process: a worker passes its limits on to the agent it starts.

    Memory and descriptors get limits of the agent's own: it must not take a node from the tasks, whatever they write.
    """
    own = {resource.RLIMIT_NOFILE: _MAX_FILES, resource.RLIMIT_DATA: _MAX_DATA_BYTES}
    for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_AS, *own):
        with contextlib.suppress(OSError, ValueError):
            hard = resource.getrlimit(which)[1]
            most = own.get(which, hard)
            resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _describe(runtime: str, crate_dir: str, child: int) -> None:
    """Say who serves here, for a person who looks."""
    path = os.path.join(runtime, ABOUT)
    about = {
        "pid": os.getpid(),
        "finaliser": child,
        "crate_dir": crate_dir,
        "place": place_of(runtime),
        "version": __version__,
        "rings": RINGS_VERSION,
    }
    with contextlib.suppress(OSError):
        files.write_file(path, json.dumps({**about, "host": os.uname().nodename, "started": time.time()}))


def _tidy(runtime: str) -> None:
    """Take away a runtime directory in which nothing is left to tell: no slot, no journal, nothing wrong in the log.

    It gets another name first, so that a worker that comes at this moment makes a new one; should a slot be found in it
    all the same, it gets its name back.
    """
    gone = f"{runtime}.gone-{os.getpid()}"
    try:
        os.rename(runtime, gone)
        kept = {launch.LOCK, launch.LOG, FINALISER_LOCK, SOCKET}
        left = {name for name in os.listdir(gone) if not is_request(name)} - kept
        if left - {"spool", RINGS} or any(os.listdir(os.path.join(gone, name)) for name in left):
            os.rename(gone, runtime)
            return
    except OSError:
        return
    shutil.rmtree(gone, ignore_errors=True)


class _Stop:
    """Set by SIGTERM, SIGINT and SIGHUP."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: Any) -> None:
        self.asked = True


# -- sampling --------------------------------------------------------------------------------------------------------


def _sample(
    runtime: str,
    held: RuntimeLock,
    channel: socket.socket,
    shared: SharedSnapshot,
    stop: _Stop,
    describe: Callable[[], None],
) -> bool:
    """Sample until there is nothing left to sample; whether it ends because the finaliser has died."""
    from prov_worker.agent.sampler import Sampler
    from prov_worker.agent.tick import Tick

    sys.setswitchinterval(0.0005)  # the GPU thread must not hold up a tick
    channel.setblocking(False)
    sampler = Sampler(runtime)
    sampler.listen(channel.fileno())
    outbox = _Outbox(channel)
    reported, reported_s = False, 0.0
    idle_since: float | None = None
    asked_at: float | None = None
    deadline = time.monotonic_ns()
    cpu_before, logged_at = time.process_time(), time.monotonic()
    while True:
        now = time.monotonic_ns()
        if held.look():
            log.warning("%s: it was removed, and is made again", runtime)
            describe()
        sampler.takes_slots = held.is_ours
        tick = sampler.tick(now)
        tick.next_s = period_s = sampler.period_s(now)
        # A task may end between the moment of a tick and the look at its slot. Then this tick's mark is too early for
        # it, and only the next one, in which nothing has changed, says that it has had its last look.
        if tick or reported or period_s != reported_s:
            outbox.put(tick)
            reported_s = period_s
        reported = bool(tick)
        outbox.send()
        if shared.is_wanted(now):
            shared.write(sampler.snapshot(now))
        if outbox.broken:
            log.error("the finaliser is gone; another agent takes over")
            break
        if stop.asked and asked_at is None:
            asked_at = time.monotonic()
        idle_since = None if tick.alive else idle_since or time.monotonic()
        if asked_at is not None and (not tick.alive or time.monotonic() - asked_at > TERM_GRACE_S):
            break
        if idle_since is not None and time.monotonic() - idle_since > GRACE_S and _leave(runtime, held, sampler):
            break
        period = int(period_s * 1e9)
        deadline += period
        if deadline <= now or deadline > now + period:  # late: go on from here instead of catching up
            deadline = now + period
        if not sampler.wait(deadline):
            outbox.broken = True  # the finaliser never writes: it has died
    outbox.put(Tick(mark_ns=1 << 62, alive=-1))
    outbox.drain(TERM_GRACE_S if stop.asked else 30.0)
    used, lived = time.process_time() - cpu_before, time.monotonic() - logged_at
    log.info(
        "sampler ends: %d ticks, worst lateness %.1f ms, %.2f %% of a core",
        sampler.ticks,
        sampler.lateness_ns / 1e6,
        100 * used / max(lived, 1e-9),
    )
    sampler.close()
    return outbox.broken and not stop.asked


def _leave(runtime: str, held: RuntimeLock, sampler: Any) -> bool:
    """Give the lock up, unless a worker came in the meantime: it makes its slot before it looks at the lock."""
    if not held.is_ours:
        return True
    locks.unlock(held.descriptor)
    try:
        waiting = [n for n in os.listdir(runtime) if n.startswith(SLOT_PREFIX) and not n.endswith(".new")]
    except OSError:
        return True
    if not any(sampler.is_new(os.path.join(runtime, name)) for name in waiting):
        return True
    # If it is held, that worker's own agent is there already.
    return not locks.lock(held.descriptor)


class _Outbox:
    """Messages to the finaliser that leave when the socket takes them."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._queue: deque[bytes] = deque()
        self._size = 0
        self.broken = False

    def put(self, message: Any) -> None:
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if self._size > _MAX_BACKLOG_BYTES and message.series:
            message.series.clear()  # the records are safe in the journal; their series are not worth the memory
            body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._queue.append(_LENGTH.pack(len(body)) + body)
        self._size += len(body)

    def send(self) -> None:
        while self._queue:
            data = self._queue[0]
            try:
                sent = self._channel.send(data)
            except BlockingIOError:
                return
            except OSError:
                self.broken = True
                return
            if sent == len(data):
                self._queue.popleft()
                self._size -= len(data)
            else:
                self._queue[0] = data[sent:]

    def drain(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while self._queue and not self.broken and time.monotonic() < until:
            select.select([], [self._channel], [], 0.1)
            self.send()


# -- finishing -------------------------------------------------------------------------------------------------------


def _finish(runtime: str, crate_dir: str, channel: socket.socket, shared: SharedSnapshot) -> tuple[bool, int]:
    """Finish records until the sampler has no more to tell.

    Returns:
        Whether the sampler left without a word, and an exit status: 0 if there is nothing to look into.
    """
    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.live.renewal import Live
    from prov_worker.agent.orphaned_journals import adopt_orphans
    from prov_worker.agent.publisher import Publisher
    from prov_worker.crate.staging import remove_leftovers

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the sampler says when to stop
    with contextlib.suppress(OSError):
        os.setsid()
    priority = Priority()
    # one at a time: an agent that leaves may still wait for a plot or for the disk
    locks.lock(launch.open_lock(runtime, FINALISER_LOCK), STUCK_GRACE_S + 30.0)
    finaliser = Finaliser(runtime, Publisher(crate_dir))
    live = Live(shared, finaliser, runtime, crate_dir)
    adopt_orphans(finaliser, crate_dir, runtime)
    with contextlib.suppress(OSError):  # no crate directory yet
        for path in remove_leftovers(Path(crate_dir)):
            log.info("%s: removed; a writer that was killed had not finished it", path)
    ending = dismissed = False
    ends_at = 0.0
    received = b""
    busy = True
    channel.setblocking(False)
    while True:
        if finaliser.published:  # not before: the first crate needs the node's hardware report, which many wait for
            priority.lower(IN_A_BURST if finaliser.in_a_burst else WRITING)
        watched: list[Any] = [] if ending else [channel]
        if finaliser.plot_fileno() >= 0:
            watched.append(finaliser.plot_fileno())
        timeout = 0.0 if busy else min(finaliser.next_s(), live.next_s())
        ready, _, _ = select.select(watched, [], [], timeout)
        if channel in ready:
            chunk = _receive(channel)
            received += chunk or b""
            while len(received) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(received)
                if len(received) < _LENGTH.size + length:
                    break
                tick = pickle.loads(received[_LENGTH.size : _LENGTH.size + length])
                received = received[_LENGTH.size + length :]
                finaliser.take(tick)
                if tick.changed or tick.slots:
                    live.stir()
                dismissed = dismissed or tick.alive < 0
                ending = ending or dismissed
            ending = ending or chunk is None
            if ending:
                finaliser.finish()
                ends_at = time.monotonic() + STUCK_GRACE_S
        busy = finaliser.work(time.monotonic() + _SLICE_S)
        live.renew()
        if ending and not busy and (not finaliser.outstanding or time.monotonic() > ends_at):
            break
    live.close()
    finaliser.close()
    left = f", {finaliser.outstanding} left to `prov-worker recover`" if finaliser.outstanding else ""
    log.info("finaliser ends: %d crates written%s", finaliser.published, left)
    return not dismissed, 3 if finaliser.outstanding or finaliser.problems else 0


def _receive(channel: socket.socket) -> bytes | None:
    """Return what has come; None at the end."""
    try:
        return channel.recv(1 << 20) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None
