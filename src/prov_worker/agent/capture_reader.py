"""What libraries report of a task, and what they stored: read by a process that the agent starts by name of its module.

The agent itself reads the small files that a worker's libraries wrote to node-local memory. Stores of others (a
database, event files, a server) may be large, damaged, locked or far away: they are read by one process per task, with
little priority and limits, and the crate waits for it a while.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prov_worker.agent.output_files import Outputs
from prov_worker.model import TaskRecord
from prov_worker.settings import Settings
from prov_worker.spool.captures import captures_dir, make_captures_dir, read_captures, remove_captures
from prov_worker.spool.own_files import open_own, read_own
from prov_worker.spool.records import Ended
from prov_worker.training import Training

_MODULE = "prov_worker.capture.reading.process"
_CODE = (
    "import sys; count = int(sys.argv[1]); sys.path[:] = sys.argv[2 : 2 + count]; del sys.argv[1 : 2 + count]; "
    f"import {_MODULE} as process; process.main()"
)
#: How long a crate waits for what libraries stored.
PATIENCE_S = 25.0
#: Processes at a time: they must not take the tasks' cores.
MAX_READERS = 2
_MAX_WAITING = 1000
_MAX_ANSWER_BYTES = 256 << 20
_EVENTS = ".tfevents."
#: Tasks shorter than this are not looked for in directories that the settings name.
_SHORTEST_S = 0.5


@dataclass(slots=True)
class Reading:
    """What is read of one task.

    Attributes:
        ended: the task.
        runtime: the runtime directory of its worker.
        request: what each library's reader takes.
        process: that reads; None as long as it waits for its turn.
        until: when the crate waits no longer (``time.monotonic``).
    """

    ended: Ended
    runtime: str
    request: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE_S)


class CaptureReader:
    """Reads for the tasks of the workers that one agent serves; never waits.

    Args:
        runtimes: their runtime directories: a worker's is another one if there was no space in the first.
    """

    def __init__(self, runtimes: Sequence[str]) -> None:
        self._runtimes = runtimes
        self._waiting: list[Reading] = []
        self._reading: list[Reading] = []

    def __len__(self) -> int:
        """Return tasks whose stores are being read, or are to be."""
        return len(self._waiting) + len(self._reading)

    def take(self, ended: Ended, settings: Settings, outputs: Outputs | None) -> Reading | None:
        """Add to a record what is at hand.

        Returns:
            What is still to be read, by a process; None if that is all.
        """
        record = ended.record
        directories = (runtime for runtime in self._runtimes if os.path.isdir(captures_dir(runtime, record.attempt_id)))
        runtime = next(directories, None)
        captures: dict[str, list[Any]] = {}
        training = Training()
        if runtime is not None:
            captures = read_captures(runtime, record.attempt_id)
            for data in captures.pop("torch", ()):
                with contextlib.suppress(ValueError):
                    training.add(Training.from_dict(data))
            _add(record, training)
        request: dict[str, Any] = {}
        stores = [store for data in captures.get("mlflow", ()) if isinstance(data, list) for store in data]
        if stores and settings.capture.mlflow:
            stores = list(dict.fromkeys(filter(lambda store: isinstance(store, str), stores)))
            request["mlflow"] = {"task": record.task_id, "start_ns": record.start_ns, "stores": stores}
        events = _event_files(ended, settings, outputs)
        if events:
            request["tensorboard"] = events
        if not request:
            if runtime is not None and (captures or training):
                remove_captures(runtime, record.attempt_id)
            return None
        if len(self) >= _MAX_WAITING:
            record.notes.append(_not_read(request, "more tasks wait for theirs than can be read in time"))
            return None
        reading = Reading(ended, runtime or self._runtimes[0], request)
        self._waiting.append(reading)
        self._start_some()
        return reading

    def done(self) -> list[Reading]:
        """Return the readings that have ended, with their records completed."""
        now = time.monotonic()
        ended = []
        for reading in [*self._reading, *self._waiting]:
            process = reading.process
            if process is None and now < reading.until:
                continue
            if process is not None and process.poll() is None and now < reading.until:
                continue
            self._take_answer(reading)
            (self._waiting if process is None else self._reading).remove(reading)
            ended.append(reading)
        self._start_some()
        return ended

    def close(self) -> None:
        """End the processes."""
        for reading in self._reading:
            _end(reading.process)
        self._reading.clear()

    def _start_some(self) -> None:
        while self._waiting and len(self._reading) < MAX_READERS:
            reading = self._waiting.pop(0)
            self._reading.append(reading)
            try:
                reading.process = _start(reading)
            except (OSError, ValueError) as error:
                reading.ended.record.notes.append(_not_read(reading.request, f"no reader could be started: {error}"))
                reading.until = 0.0

    def _take_answer(self, reading: Reading) -> None:
        record, process = reading.ended.record, reading.process
        started = process is not None
        if process is not None and process.poll() is None:
            _end(process)
            record.notes.append(_not_read(reading.request, f"it was not read within {PATIENCE_S:g} s"))
        elif started:
            try:
                path = _answer(reading)
                if os.stat(path).st_size > _MAX_ANSWER_BYTES:
                    raise ValueError("there was too much of it")
                training = Training.from_dict(json.loads(read_own(path)))
            except (OSError, ValueError) as error:
                status = process.returncode if process is not None else None
                reason = f"the reader ended with status {status}" if status else f"its answer is damaged: {error}"
                record.notes.append(_not_read(reading.request, reason))
            else:
                _add(record, training)
        elif reading.until:
            record.notes.append(_not_read(reading.request, "more tasks wait for theirs than can be read in time"))
        remove_captures(reading.runtime, record.attempt_id)


def _add(record: TaskRecord, training: Training) -> None:
    record.notes += training.absent
    training.absent = []
    if record.training is None:
        record.training = training if training else None
    else:
        record.training.add(training)


def _event_files(ended: Ended, settings: Settings, outputs: Outputs | None) -> dict[str, Any] | None:
    """Return what the reader of event files takes; None if there are none to be seen and none are named."""
    wanted = settings.capture.tensorboard
    if not wanted:
        return None
    record = ended.record
    named = list(wanted) if isinstance(wanted, tuple) and record.wall_time_s >= _SHORTEST_S else []
    sandboxes = []
    if outputs is not None and any(_EVENTS in os.path.basename(path) for path in outputs.files):
        sandboxes = [outputs.sandbox]
    if not sandboxes and not named:
        return None
    return {
        "sandboxes": sandboxes,
        "directories": named,
        "host": record.worker.host,
        "pid": record.worker.pid,
        "start_ns": record.start_ns,
        "end_ns": record.end_ns,
    }


def _start(reading: Reading) -> subprocess.Popen[bytes]:
    make_captures_dir(reading.runtime, reading.ended.record.attempt_id)
    request = f"{captures_dir(reading.runtime, reading.ended.record.attempt_id)}/request"
    descriptor = open_own(request, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(reading.request, file)
    path = [entry for entry in sys.path if entry]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CODE, str(len(path)), *path, request, _answer(reading)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _answer(reading: Reading) -> str:
    return f"{captures_dir(reading.runtime, reading.ended.record.attempt_id)}/answer"


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def _not_read(libraries: Iterable[str], reason: str) -> str:
    return f"What {' and '.join(libraries)} stored was not read: {reason}."
