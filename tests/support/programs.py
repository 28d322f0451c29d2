"""Programs that tests start end with their test, whatever happens; what is left of them is named, and killed.

A program is known by a variable that it inherits: the run of pytest, its worker, the module, and the test, unless a
fixture of a larger scope started it. Daemons that empty their environment are known by the folder of
temporary files of the run, in what they were started with or where they work.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

#: Variable of every program that a test starts: RUN/WORKER/MODULE/TEST/, the last two as :func:`_short` gives them.
MARKER = "PYTEST_PROGRAMS"
#: Programs that outlive their last task, such as agents, have so long to end by themselves.
GRACE_S = 30.0
#: After its limit a test has so long to end before its programs are killed and it is interrupted; so long again, twice,
#: before the run is ended.
SLACK_S = 60.0
#: What interrupts a test: nobody else uses it.
INTERRUPT = signal.SIGRTMIN + 7


def marked(prefix: str) -> list[psutil.Process]:
    """Programs that run and whose marker begins so."""
    start = f"\0{MARKER}={prefix}".encode()
    return _running(lambda entry: start in b"\0" + _read(entry / "environ"))


def working_in(folder: Path) -> list[psutil.Process]:
    """Programs that run and were started with a path below this folder, work there, or lost their parent to it.

    A program that gives itself a title writes over its command line and its environment: what was started by another
    that is gone is looked at for open files too.
    """
    path = os.fsencode(folder) + b"/"

    def works(entry: Path) -> bool:
        if path in _target(entry / "cwd") or path in _read(entry / "cmdline") or path in _read(entry / "environ"):
            return True
        if b"\nPPid:\t1\n" not in _read(entry / "status"):
            return False
        try:
            return any(path in _target(link) for link in (entry / "fd").iterdir())
        except OSError:
            return False

    return _running(works)


def _running(wanted: Callable[[Path], bool]) -> list[psutil.Process]:
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in ours and wanted(entry):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(int(entry.name))
                if lives(process):
                    processes.append(process)
    return processes


def _target(link: Path) -> bytes:
    try:
        return os.fsencode(os.readlink(link)) + b"/"
    except OSError:
        return b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def lives(process: psutil.Process) -> bool:
    """Whether a program runs; zombies do not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill programs, and wait until they are gone."""
    left = list(processes)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    # Not psutil.wait_procs: it would take the exit status of a child from the one who started it.
    deadline = time.monotonic() + 10
    while any(map(lives, left)) and time.monotonic() < deadline:
        time.sleep(0.02)


def story(processes: Iterable[psutil.Process]) -> list[str]:
    """One line per program: its number, its parent's, and its command line."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            lines.append(f"{process.pid} (of {process.ppid()}): {' '.join(process.cmdline())[:300]}")
    return lines


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    family: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            family += [process, *filter(lives, process.children(recursive=True))]
    return [process for process in dict.fromkeys(family) if not _of_multiprocessing(process)]


def _of_multiprocessing(process: psutil.Process) -> bool:
    """Whether a program is this process's own tracker of semaphores, or what forks for it: both end with it."""
    with contextlib.suppress(psutil.Error):
        helpers = ("from multiprocessing.resource_tracker", "from multiprocessing.forkserver")
        command = " ".join(process.cmdline())
        return process.ppid() == os.getpid() and any(helper in command for helper in helpers)
    return False


class Census:
    """What runs because of the tests of this process.

    Args:
        run: tells one run of pytest from another.
        worker: of pytest-xdist; ``main`` without.
    """

    def __init__(self, run: str, worker: str) -> None:
        self._prefix = f"{run}/{worker}"
        self._folder: Path | None = None
        self._tolerated: set[psutil.Process] = set()
        self._began_s = psutil.Process().create_time()
        self._module = self._test = ""
        self.mark("session")

    def mark(self, scope: str = "function") -> None:
        """From here on programs belong to a fixture of this scope, or to the test."""
        if scope in ("session", "package"):
            parts = ["session", "-"]
        else:
            parts = [self._module, self._test if scope == "function" else "-"]
        os.environ[MARKER] = "/".join([self._prefix, *parts, ""])

    def begin(self, module: str, test: str) -> None:
        """A test of this module begins."""
        self._module, self._test = _short(module), _short(test)
        self.mark()

    def look_in(self, folder: Path) -> None:
        """Temporary files of this process are here."""
        self._folder = folder

    def tolerate(self) -> None:
        """What runs now may go on until the session ends, also if it has no marker."""
        if self._folder is not None:
            self._tolerated.update(working_in(self._folder))

    def of_module(self) -> list[psutil.Process]:
        """Programs that a test or a fixture of the module has started and that still run."""
        left = dict.fromkeys(_with_children(marked(f"{self._prefix}/{self._module}/")))
        if self._folder is not None:
            session = self._tolerated.union(marked(f"{self._prefix}/session/"))
            for process in working_in(self._folder):
                with contextlib.suppress(psutil.Error):
                    # What ran before may have a file open there too, as dockerd has of what containers mount.
                    if process.create_time() < self._began_s:
                        continue
                    if not session.intersection([process, *process.parents()]):
                        left.setdefault(process)
        return [process for process in left if not _of_multiprocessing(process)]

    def end_test(self) -> None:
        """End what the test itself has left."""
        end(_with_children(marked(f"{self._prefix}/{self._module}/{self._test}/")))

    def leave_module(self) -> list[str]:
        """End what the module has left. Returns what did not end by itself."""
        left = self.of_module()
        deadline = time.monotonic() + GRACE_S
        while (left := [process for process in left if lives(process)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        names = story(left)
        end(left)
        return names


class Watchdog:
    """Ends a test that pytest-timeout could not end.

    Its signal comes once: a test, or a fixture, that then waits for a program waits without limit. Here the programs
    are killed, and the test is interrupted, twice. The process is ended only if that does not help, and the run with
    it: a run of pytest-xdist 3.8 that loses a process near its end never ends.
    """

    def __init__(self, census: Census, say: Callable[[str], None]) -> None:
        self._census = census
        self._say = say
        self._changed = threading.Condition()
        self._name = ""
        self._steps: list[tuple[float, Callable[[], None]]] = []
        #: Whether set-up, call or tear-down of a test runs, which alone may be interrupted.
        self.active = False
        signal.signal(INTERRUPT, self._interrupted)
        threading.Thread(target=self._watch, name="watchdog of tests", daemon=True).start()

    def begin(self, name: str, limit_s: float) -> None:
        """A test begins, which pytest-timeout ends after its limit."""
        limit = time.monotonic() + limit_s
        with self._changed:
            self._name = name
            self._steps = [
                (limit + SLACK_S, self._interrupt),
                (limit + 2 * SLACK_S, self._interrupt),
                (limit + 3 * SLACK_S, self._end_run),
            ]
            self._changed.notify()

    def end(self) -> None:
        """The test has ended."""
        with self._changed:
            self._steps = []

    def _watch(self) -> None:
        with self._changed:
            while True:
                if not self._steps:
                    self._changed.wait()
                elif (left := self._steps[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    self._steps.pop(0)[1]()

    def _interrupt(self) -> None:
        left = self._census.of_module()
        self._say("\n".join([f"{self._name} outlives its limit; its programs are killed:", *story(left)]))
        faulthandler.dump_traceback(2)
        end(left)
        signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)

    def _interrupted(self, *_: object) -> None:
        if self.active:
            pytest.fail("outlived its limit", pytrace=False)

    def _end_run(self) -> None:
        self._say(f"{self._name} outlives its limit; the run is ended")
        end(self._census.of_module())
        if "PYTEST_XDIST_WORKER" in os.environ:
            os.kill(os.getppid(), signal.SIGINT)
        os._exit(70)


class Programs:
    """Starts programs that end with the test."""

    def __init__(self) -> None:
        self._started: list[tuple[subprocess.Popen[Any], bool]] = []

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Start a program as :class:`subprocess.Popen` does; of one in a session of its own the whole group ends."""
        process = subprocess.Popen(command, **options)
        self._started.append((process, bool(options.get("start_new_session"))))
        return process

    def end(self) -> None:
        """Kill what still runs, and close its pipes."""
        for process, session in self._started:
            if session:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            if process.poll() is None:
                process.kill()
        for process, _ in self._started:
            process.wait(30)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
