"""From the lines of a journal to :class:`~prov_worker.model.TaskRecord`: the reading half of the journal's format.

The writing half is :mod:`prov_worker.recorder.recorder`, which formats lines by hand because it has microseconds.
Field names are short for the same reason:

``worker``
    ``v`` (:data:`prov_worker.spool.VERSION`)
    ``host place pid thread rank pool block aff acc sched env container versions endpoint endpoint_name settings``
    ``proc`` (what an agent needs to know of the process: :func:`prov_worker.recorder.worker_info.process_facts`)
``function``
    ``k`` and the fields of :class:`~prov_worker.model.Function`; to prove its source by, ``form`` (sha256 of its code's
    normal form, see :mod:`prov_worker.code_form`) ``file line python compiled`` (``__future__`` flags, optimisation),
    ``sent`` (source texts; ``redacted``) ``bound`` (sha256 of what it is bound to) ``minor`` (with code in it)
    of a shell command: ``command`` (its template) ``limit`` (s)
``start``
    ``task n`` (attempt) ``ns`` (wall clock) ``k fid`` (function UUID) ``args aff`` (if it changed)
    ``mpi`` (nodes and ranks of this task) ``box`` (sandbox) ``run`` (which the client says that it is a part of)
    ``part`` (fields of :class:`~prov_worker.model.Part`)
    ``call`` (serialised) or ``nocall`` (why there is none), if the settings ask for it
``end``
    ``task n ns m`` (CLOCK_MONOTONIC at the start) ``dur`` (ns) ``ok u`` (numbers of :mod:`prov_worker.counters`: µs,
    kB, counts, blocks of 512 bytes) ``io`` (text of ``/proc/self/io`` before and after) ``rss res err box`` (sandbox)
    ``files`` (by path in the sandbox: size, time of change; if the settings ask for it)
    ``kin`` (descendants that were there at the start or the end: process id, ns of CPU time at the start and at the
    end, 1 if it ran at the moment of the start, ns of children that it had waited for at the start and at the end, and
    the four numbers of bytes of ``/proc/PID/io`` at the start and at the end)
    ``kinpeak`` (kB, peak of the largest waited-for child, if it is above the worker's own)
    of a command: ``cmd`` (``run`` ``launcher`` ``status`` ``limit``) ``outf`` (files of its streams); ``out`` (ends of
    standard output and error)
    The ``end`` of a quick task has no line of its own: its fields follow in the task's ``start`` line.
    ``brief`` (1: there was no space for more of it)
``notes``
    ``task n`` and what user code noted meanwhile: ``a`` (annotations) ``u g`` (files used and generated), and ``ns``,
    when, of annotations with an epoch. The ``end`` has all of it again but for the values of earlier epochs; for the
    rest these lines are for a task that has none.
``lost``
    ``task n ns end fid err``: the engine's word on a task whose worker is gone

An argument is ``[name, type, size, length, sha256, value]``. Lines out of a ring have their number there, ``q``, which
grows; one that comes a second time is passed over.

The first line of a journal of any version has ``v``; nothing else holds for versions to come. Lines of earlier
versions are read as well. Those of a later one are not: who meets them names the journal and leaves it where it is, for
a release that can read it. A change that the readers of this version would misunderstand needs a new number, as does a
new kind of line; a new key that they may pass over needs none. A journal with a line that cannot be understood is
named and left where it is, too, once all others have their crates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prov_worker.attempt import AttemptId
from prov_worker.model import (
    COMPLETED,
    FAILED,
    Failure,
    TaskRecord,
    Value,
    Worker,
)
from prov_worker.sandbox import Listed
from prov_worker.spool import VERSION
from prov_worker.spool.line_shapes import is_sound
from prov_worker.spool.record_fields import command_of, files_of, function_of, part_of, usage_of, values_of
from prov_worker.spool.user_notes import UserNotes, take_notes

#: Host of a task that no worker is known to have begun.
UNKNOWN_HOST = "unknown"
#: A line whose number is so little below the last one comes a second time.
_TWICE = 1 << 20


@dataclass(slots=True)
class Ended:
    """A task that a journal closes: its record, and what only the finaliser needs.

    ``final_rss_bytes`` is the worker's resident memory when the task ended; ``sandbox`` the directory to look for
    files in; ``function`` the raw line of the function; ``mono_end_ns`` when it ended on the node's monotonic clock;
    ``process`` what the worker noted of itself; ``descendants`` what it saw of their clocks;
    ``files`` what it listed of its sandbox, None if that was not asked for; ``place`` where its
    process id means something; ``output_files`` those that a command wrote standard output and standard error to.
    """

    record: TaskRecord
    settings: dict[str, Any]
    final_rss_bytes: int | None = None
    sandbox: str | None = None
    function: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    mono_end_ns: int = 0
    process: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    descendants: list[list[Any]] = field(default_factory=list)
    files: dict[str, Listed] | None = None
    output_files: Sequence[str | None] = ()


class JournalState:
    """Meaning of one journal's lines, fed in order.

    Attributes:
        worker: the last ``worker`` line.
        problems: number of lines that could not be understood.
        later_version: of the lines, if this release cannot read them: they are passed over.
    """

    __slots__ = ("_aff", "_functions", "_last", "_notes", "_open", "later_version", "problems", "worker")

    def __init__(self) -> None:
        self.worker: dict[str, Any] = {}
        self.problems = 0
        self.later_version: int | None = None
        self._functions: dict[int, dict[str, Any]] = {}
        self._open: dict[AttemptId, dict[str, Any]] = {}
        self._notes: dict[tuple[str, int], UserNotes] = {}  # these lines have no start
        self._aff: list[int] = []
        self._last = 0

    def feed(self, line: dict[str, Any]) -> Ended | None:
        """Take one line; gives a task if the line closes one. A line without the keys it needs is counted."""
        if "v" in line:
            version = line["v"]
            self.later_version = version if isinstance(version, int) and version > VERSION else None
        if self.later_version is not None:
            return None
        if is_sound(line):
            number = line.get("q")
            if type(number) is int:
                if 0 <= self._last - number < _TWICE:
                    return None
                self._last = number
            try:
                return _KINDS[line["t"]](self, line)
            except (LookupError, TypeError, ValueError, ArithmeticError):
                pass  # numbers and texts of the right type may still make no sense
        self.problems += 1
        return None

    @property
    def _place(self) -> str:
        return str(self.worker.get("place") or "")

    def _worker_line(self, line: dict[str, Any]) -> None:
        self.worker = line
        self._aff = line.get("aff") or []

    def _function_line(self, line: dict[str, Any]) -> None:
        self._functions[line["k"]] = line

    def _start_line(self, line: dict[str, Any]) -> Ended | None:
        if "aff" in line:
            self._aff = line["aff"]
        self._open[_attempt(line)] = line
        return self._end_line(line) if "dur" in line else None

    def _notes_line(self, line: dict[str, Any]) -> None:
        self._notes.setdefault((line["task"], line["n"]), UserNotes()).add(line)

    def open_attempts(self) -> list[AttemptId]:
        """Return the attempts that began and did not end."""
        return list(self._open)

    def sandboxes(self) -> dict[AttemptId, str]:
        """Return the sandboxes of attempts that began and did not end."""
        return {attempt: line["box"] for attempt, line in self._open.items() if isinstance(line.get("box"), str)}

    def function_name(self, attempt: AttemptId, number: int = 0) -> str | None:
        """Return the name of the function that an attempt runs; None if it is not known yet.

        Args:
            attempt: one that began and did not end.
            number: of the function, if the attempt has no ``start`` line here.
        """
        name = self._functions.get(self._open.get(attempt, {}).get("k", number), {}).get("name")
        return name if isinstance(name, str) else None

    def is_open(self, attempt: AttemptId) -> bool:
        """Return whether an attempt began and did not end."""
        return attempt in self._open

    @property
    def settings(self) -> dict[str, Any]:
        """Settings mapping of the worker, as :meth:`prov_worker.settings.Settings.from_mapping` takes it."""
        settings = self.worker.get("settings")
        return settings if isinstance(settings, dict) else {}

    def close(self, attempt: AttemptId, failure: Failure, end_ns: int, forget: bool = True) -> Ended:
        """Close an open attempt as failed: its worker cannot do it any more.

        Args:
            attempt: need not have a ``start`` line, because a worker may die before it wrote one.
            failure: the reason.
            end_ns: when it ended, wall clock.
            forget: take the attempt off the open ones.
        """
        start = self._open.pop(attempt, {}) if forget else self._open.get(attempt, {})
        notes = self._notes.pop(attempt[:2], None) if forget else self._notes.get(attempt[:2])
        return self._closed(attempt, start, notes, failure, end_ns)

    def begun(self, start: dict[str, Any]) -> Ended:
        """Return what is known of an attempt that runs: as if it had failed at once.

        Args:
            start: its ``start`` line.

        Raises:
            LookupError, TypeError, ValueError: the line makes no sense.
        """
        attempt = _attempt(start)
        return self._closed(attempt, start, None, Failure("unknown", ""), attempt.start_ns)

    def open_starts(self) -> list[dict[str, Any]]:
        """Return the ``start`` lines of attempts that began and did not end."""
        return [line for line in self._open.values() if "task" in line and "ns" in line]

    def _closed(
        self,
        attempt: AttemptId,
        start: dict[str, Any],
        notes: UserNotes | None,
        failure: Failure,
        end_ns: int,
    ) -> Ended:
        function = self._functions.get(start.get("k", 0), {})
        record = TaskRecord(
            task_id=attempt.task_id,
            attempt=attempt.attempt,
            status=FAILED,
            start_ns=attempt.start_ns,
            end_ns=max(end_ns, attempt.start_ns),
            function=function_of(function, start.get("fid")),
            worker=self._worker(start),
            endpoint_id=self.worker.get("endpoint"),
            endpoint_name=self.worker.get("endpoint_name"),
            arguments=values_of(start.get("args")),
            failure=failure,
            command=command_of(function, None),
            part=part_of(start.get("part")),
            call=start.get("call"),
            call_absent=start.get("nocall"),
        )
        if notes is not None:
            notes.describe(record, start.get("run"))
        else:
            take_notes(record, None, start.get("run"))
        if not start:
            record.notes.append("The worker died before the function began, so the function is not known.")
        return Ended(
            record,
            self.settings,
            sandbox=start.get("box"),
            function=function,
            process=self.worker.get("proc") or {},
            place=self._place,
        )

    def _end_line(self, line: dict[str, Any]) -> Ended:
        attempt = _attempt(line)
        start = self._open.pop(attempt, {})
        noted = self._notes.pop(attempt[:2], None)
        function = self._functions.get(start.get("k", 0), {})
        usage, error = usage_of(line.get("u"), line.get("io")), line.get("err")
        if line.get("kinpeak"):
            usage.children_peak_rss_bytes = line["kinpeak"] * 1024
        result = line.get("res")
        record = TaskRecord(
            task_id=attempt.task_id,
            attempt=attempt.attempt,
            status=COMPLETED if line["ok"] else FAILED,
            start_ns=attempt.start_ns,
            end_ns=attempt.start_ns + line["dur"],
            function=function_of(function, start.get("fid") or line.get("fid")),
            worker=self._worker(start),
            endpoint_id=self.worker.get("endpoint"),
            endpoint_name=self.worker.get("endpoint_name"),
            arguments=values_of(start.get("args")),
            result=Value(*result) if result else None,
            failure=Failure(**error) if error else None,
            usage=usage,
            command=command_of(function, line.get("cmd")),
            output=tuple(line["out"]) if line.get("out") else None,
            part=part_of(start.get("part")),
            call=start.get("call"),
            call_absent=start.get("nocall"),
        )
        take_notes(record, line.get("notes"), start.get("run") or line.get("run"))
        if noted is not None:
            noted.draw(record)
        if line.get("brief"):
            record.notes.append(
                "Little of it is known: more tasks ended than there was space for in the node's memory."
            )
        return Ended(
            record,
            self.settings,
            line.get("rss"),
            line.get("box"),
            function,
            mono_end_ns=line.get("m", 0) + line["dur"],
            process=self.worker.get("proc") or {},
            place=self._place,
            descendants=[list(entry) for entry in line.get("kin", ())],
            files=files_of(line.get("files")),
            output_files=line.get("outf") or (),
        )

    def _lost_line(self, line: dict[str, Any]) -> Ended:
        attempt = _attempt(line)
        self._open[attempt] = {"fid": line.get("fid")}
        ended = self.close(attempt, Failure(**line["err"]), line["end"])
        ended.lost = True
        # the engine's journal knows its own process, which is not where the task was
        ended.record.worker = Worker(host=UNKNOWN_HOST, pid=0)
        ended.record.begun = False
        ended.process = {}
        ended.place = ""
        return ended

    def _worker(self, start: dict[str, Any]) -> Worker:
        worker = self.worker
        return Worker(
            host=worker.get("host", "unknown"),
            pid=worker.get("pid", 0),
            thread=worker.get("thread"),
            rank=worker.get("rank"),
            pool_id=worker.get("pool"),
            block_id=worker.get("block"),
            cpu_affinity=list(self._aff),
            accelerators=worker.get("acc") or {},
            scheduler=worker.get("sched") or {},
            environment={**(worker.get("env") or {}), **(start.get("mpi") or {})},
            container=worker.get("container"),
            versions=worker.get("versions") or {},
        )


def cannot_read(version: int) -> str:
    """Return why a journal is left where it is."""
    return f"its lines are of version {version}, this release reads up to {VERSION}; it is kept for a later release"


def _attempt(line: dict[str, Any]) -> AttemptId:
    return AttemptId(line["task"], line["n"], int(line["ns"]))


#: What each kind of line does.
_KINDS: dict[str, Callable[[JournalState, dict[str, Any]], Ended | None]] = {
    "worker": JournalState._worker_line,
    "function": JournalState._function_line,
    "start": JournalState._start_line,
    "end": JournalState._end_line,
    "notes": JournalState._notes_line,
    "lost": JournalState._lost_line,
}
