"""Annotations from user code: ``prov_worker.annotate``, ``used`` and ``generated``.

Each is a look at one thread-local name and nothing else if no task is being recorded. What they note goes into the
journal at once, bounded and redacted, so that it outlives a task that is killed, and again with the task's end; files
are hashed later, by the agent, and never on the task's path.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, Protocol

from prov_worker.interruptions import is_own
from prov_worker.recorder.context import running
from prov_worker.recorder.errors import log_internal_error
from prov_worker.redact import is_secret_name, redact_part

MAX_NOTES = 100
MAX_FILES = 1000
_MAX_KEY = 200
_MAX_TEXT = 1000
_MAX_PATH = 4096
_EXACT_INTEGER = 2**53


class Notes:
    """What user code noted of one task.

    Attributes:
        values: annotations by key.
        used, generated: absolute paths, each once.
        dropped: how many did not fit.
    """

    __slots__ = ("dropped", "generated", "used", "values")

    def __init__(self) -> None:
        self.values: dict[str, str | int | float | bool] = {}
        self.used: dict[str, None] = {}
        self.generated: dict[str, None] = {}
        self.dropped = 0

    def annotate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Note values; the last one of a key stands. Returns what is new, as :meth:`fields` does."""
        taken: dict[str, str | int | float | bool] = {}
        for name, value in values.items():
            key = redact_part(str(name), _MAX_KEY)
            if key not in self.values and len(self.values) >= MAX_NOTES:
                self.dropped += 1
                continue
            taken[key] = self.values[key] = "[redacted]" if is_secret_name(key) else _plain(value)
        return {"a": taken} if taken else {}

    def use(self, path: Any) -> dict[str, Any]:
        """Note a file that was read. Returns what is new."""
        return self._file("u", self.used, path)

    def generate(self, path: Any) -> dict[str, Any]:
        """Note a file that was written. Returns what is new."""
        return self._file("g", self.generated, path)

    def _file(self, field: str, files: dict[str, None], path: Any) -> dict[str, Any]:
        text = os.path.abspath(os.fsdecode(path))
        if text in files:
            return {}
        if len(text) > _MAX_PATH or len(files) >= MAX_FILES:
            self.dropped += 1
            return {}
        files[text] = None
        return {field: [text]}

    def fields(self) -> dict[str, Any]:
        """Return plain data for the journal, without what is empty."""
        data: dict[str, Any] = {"a": self.values, "u": list(self.used), "g": list(self.generated), "d": self.dropped}
        return {key: value for key, value in data.items() if value}


def _plain(value: Any) -> str | int | float | bool:
    """Return a number or truth value as it is, text bounded and redacted; of anything else its text."""
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int) and -_EXACT_INTEGER <= value <= _EXACT_INTEGER:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    text = value if isinstance(value, str) else repr(value)
    return redact_part(text, _MAX_TEXT)


class TaskRecorder(Protocol):
    """Whatever records the running task and takes its notes."""

    notes: Notes | None

    def noted(self, fields: dict[str, Any]) -> None:
        """Write down what has just been noted."""

    def composed(self, command: Any, kwargs: dict[str, Any]) -> None:
        """Take the command that a bash app is about to run, and the keyword arguments of its call."""


def annotate(**values: Any) -> None:
    """Add facts to the crate of the running task: ``prov_worker.annotate(model="linear", loss=0.031)``.

    Numbers and truth values are kept as they are, anything else as text of at most 1,000 characters; at most 100 keys
    a task. Does nothing if no task is being recorded.
    """
    task = running.task
    if task is None:
        return
    _guarded(Notes.annotate, task, values)


def name_run(name: str) -> None:
    """Say of which run the task is a part: the annotation ``run`` of its crate, by which commands choose crates.

    Does nothing if no task is being recorded.
    """
    annotate(run=name)


def used(path: str | os.PathLike[str]) -> None:
    """Say that the running task read a file. Its size and sha256 go into the crate; the file stays where it is.

    Does nothing if no task is being recorded.
    """
    task = running.task
    if task is not None:
        _guarded(Notes.use, task, path)


def generated(path: str | os.PathLike[str]) -> None:
    """Say that the running task wrote a file. Its size and sha256 go into the crate; the file stays where it is.

    Does nothing if no task is being recorded.
    """
    task = running.task
    if task is not None:
        _guarded(Notes.generate, task, path)


def _guarded(call: Callable[[Notes, Any], dict[str, Any]], task: TaskRecorder, argument: Any) -> None:
    try:
        if task.notes is None:
            task.notes = Notes()
        new = call(task.notes, argument)
        if new:
            task.noted(new)
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("an annotation")
