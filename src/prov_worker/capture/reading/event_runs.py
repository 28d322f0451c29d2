"""The runs in event files of directories: those of one directory are one run, as TensorBoard shows them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.event_file import read_events
from prov_worker.redact import redact
from prov_worker.training import MAX_METRICS, MAX_RUNS, Metric, TrackedRun, Training

#: ``events.out.tfevents.<s>.<host>``, then, but for tensorboardX, ``.<pid>.<number>``.
_NAME = re.compile(r".*\.tfevents\.(\d{1,12})\.(.+)")
_WRITER = re.compile(r"(.*)\.(\d+)\.(\d+)(?:\..*)?")
_MAX_FILES = 10_000
_CLOCK_S = 2


@dataclass(frozen=True)
class Writer:
    """The task whose event files are looked for in directories of many.

    Attributes:
        host: of its worker.
        pid: of its worker.
        start_ns, end_ns: of the task.
    """

    host: str
    pid: int
    start_ns: int
    end_ns: int

    def wrote(self, name: str) -> bool:
        """Return whether the name of an event file says that this task made it."""
        match = _NAME.match(name)
        if match is None:
            return False
        host, pid = match[2], None
        parts = _WRITER.fullmatch(match[2])
        if parts is not None:
            host, pid = parts[1], int(parts[2])
        within = self.start_ns - _CLOCK_S * 10**9 <= int(match[1]) * 10**9 <= self.end_ns + _CLOCK_S * 10**9
        return within and host == self.host and pid in (None, self.pid)


def read_runs(sandboxes: list[str], directories: list[str], writer: Writer) -> Training:
    """Return the runs in event files below directories, and why others could not be read.

    Args:
        sandboxes: of the task alone: all event files in them are its own.
        directories: of many tasks: those are taken whose names say that the task's worker made them.
        writer: the task.
    """
    training = Training()
    deadline = Deadline()
    runs: dict[str, list[str]] = {}
    for root, every in [*((path, True) for path in sandboxes), *((path, False) for path in directories)]:
        try:
            for path in _event_files(root, deadline):
                if every or writer.wrote(os.path.basename(path)):
                    runs.setdefault(os.path.dirname(path), []).append(path)
        except OSError as error:
            training.absent.append(f"TensorBoard event files in {root}: not read: {error}")
    for directory, paths in sorted(runs.items())[:MAX_RUNS]:
        training.runs.append(_run(directory, sandboxes + directories, sorted(paths), deadline))
    return training


def _run(directory: str, roots: list[str], paths: list[str], deadline: Deadline) -> TrackedRun:
    root = next((root for root in roots if directory == root or directory.startswith(f"{root}/")), directory)
    run = TrackedRun("tensorboard", directory, name=os.path.relpath(directory, root), source=root)
    points: dict[str, list[tuple[int, float, int]]] = {}
    for path in paths:
        name = os.path.basename(path)
        try:
            events = read_events(path, deadline)
        except OSError as error:
            run.notes.append(f"{name}: not read: {error.strerror or error}")
            continue
        run.notes += [f"{name}: {note}" for note in events.notes[:10]]
        for tag, values in events.scalars.items():
            points.setdefault(tag, []).extend(values)
        run.parameters.update((key, redact(f"{key}={text}")[len(key) + 1 :]) for key, text in events.parameters.items())
        run.status = events.status or run.status
        if events.first_ns is not None and events.last_ns is not None:
            run.start_ns = min(events.first_ns, run.start_ns or events.first_ns)
            run.end_ns = max(events.last_ns, run.end_ns or 0)
    run.metrics = [Metric.of(tag, values) for tag, values in list(points.items())[:MAX_METRICS]]
    return run


def _event_files(root: str, deadline: Deadline) -> Iterator[str]:
    """Return paths of the event files below a directory; links are not followed."""

    def fail(error: OSError) -> None:
        if error.filename == root:
            raise error

    count = 0
    for directory, _, names in os.walk(root, onerror=fail):
        deadline.check()
        for name in names:
            if ".tfevents." not in name:
                continue
            path = os.path.join(directory, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            count += 1
            if count > _MAX_FILES:
                raise OSError(f"more than {_MAX_FILES} event files")
            yield path
