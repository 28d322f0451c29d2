"""What a plot of a task says beside its curves: whose it is, how it ended, and what it was allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from prov_worker.crate.json_text import one_line
from prov_worker.humanize import clipped, duration
from prov_worker.model import COMPLETED, TaskRecord

_TITLE, _DETAILS = 72, 96
#: Of a task id, which is a UUID: as many digits as ``prov-worker list`` shows.
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Caption:
    """Text and marks of a plot.

    Attributes:
        title: function, beginning of the task's id, status.
        details: start, duration and host, in a smaller line below.
        end_s: when the task ended, in seconds from its start.
        ending: why it failed, in a word or two; empty if it did not.
        limit_s: time limit of the command that the task is; None without one.
        cpus_allowed: logical CPUs that the worker might use; None if unknown.
    """

    title: str
    details: str = ""
    end_s: float | None = None
    ending: str = ""
    limit_s: float | None = None
    cpus_allowed: int | None = None

    @property
    def text(self) -> str:
        """Both lines as one."""
        return f"{self.title} · {self.details}" if self.details else self.title


def caption_of(record: TaskRecord) -> Caption:
    """Return the caption of a record's plot."""
    failure = record.failure
    reason = "" if failure is None else ending(failure.kind, failure.type, failure.signal, failure.exit_status)
    return Caption(
        title(record.function.name, record.task_id, record.attempt, record.status),
        details(record.start_ns, record.wall_time_s, record.worker.host),
        end_s=record.wall_time_s,
        ending=reason if record.status != COMPLETED else "",
        limit_s=record.command.limit_s if record.command is not None else None,
        cpus_allowed=len(record.worker.cpu_affinity) or None,
    )


def title(function: str, task_id: str, attempt: int, status: str) -> str:
    """Return the first line."""
    which = f"task {task_id[:_ID_DIGITS]}" + (f", attempt {attempt}" if attempt > 1 else "")
    rest = f" · {which} · {status}"
    return short(function, max(_TITLE - len(rest), _ID_DIGITS)) + rest


def details(start_ns: int | None, wall_s: float | None, host: str | None) -> str:
    """Return the second line: when, how long, where."""
    began = ""
    if start_ns is not None:
        began = datetime.fromtimestamp(start_ns // 1_000_000_000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    parts = [began, duration(wall_s) if wall_s is not None else "", one_line(host or "")]
    return short(" · ".join(part for part in parts if part), _DETAILS)


def ending(kind: str | None, exception: str | None, signal: str | None, exit_status: object) -> str:
    """Return why a task failed, in a word or two: the kinds are those of :class:`prov_worker.model.Failure`."""
    if kind == "signal":
        return signal or "killed"
    if kind == "exception":
        return short((exception or "exception").rpartition(".")[2], 28)
    if kind == "exit":
        return f"exit {exit_status}" if exit_status is not None else "exit"
    endings = {"command": "command failed", "time_limit": "time limit", "cancelled": "cancelled", "lost": "worker lost"}
    return endings.get(kind or "", "failed")


def short(text: str, limit: int) -> str:
    """Return text on one line of at most so many characters."""
    return clipped(one_line(text), limit)
