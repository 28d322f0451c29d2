"""One recorder per worker thread: notes in slot and ring that a task begins, what it calls, and how it ended.

The order of things is what makes a killed task leave a trace: the slot says that a task runs before it is unpacked, its
start is recorded before the user's function is called, and its end before the result is released. Nothing here waits
for a file system: the node's agent makes lines of the journal from what is in the ring.
"""

from __future__ import annotations

import json
import os
import time
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prov_worker.recorder import capture, libraries
from prov_worker.recorder.context import running
from prov_worker.recorder.counters import Counters
from prov_worker.recorder.descendants import Descendants
from prov_worker.recorder.failures import failure
from prov_worker.recorder.forks import Forks
from prov_worker.recorder.function_ids import FunctionIds
from prov_worker.recorder.known_functions import KnownFunction
from prov_worker.recorder.worker_info import mpi_placement
from prov_worker.recorder.worker_thread import WorkerThread
from prov_worker.spool.ring_records import (
    END,
    NO_ID,
    NONE,
    NONE_RESULT,
    OK,
    PACK_SHORT,
    PACK_START,
    SHORT,
    START,
    WHOLE,
)
from prov_worker.spool.slot import LISTED, NOTE_LIMIT

if TYPE_CHECKING:
    from prov_worker.attempt import AttemptId
    from prov_worker.recorder import commands
    from prov_worker.recorder.annotations import Notes

# bound here, where programs that replace the clocks of modules do not look
_clock_ns = time.monotonic_ns
_wall_ns = time.time_ns
#: A task shorter than this is quick: what it reads and how it grows is not worth a system call each.
_QUICK_NS = 1_000_000
#: What a call of a quick function used that was shorter than this is not asked for.
_SHORT_NS = 250_000
#: A function is quick after so many quick calls in a row.
_QUICK_CALLS = 8


class Recorder(WorkerThread):
    """Records the tasks of one thread of one worker process into one crate directory.

    Args:
        crate_dir: absolute path, where crates will appear.

    Raises:
        OSError, SpoolError: neither slot nor journal can be made. The caller runs the task unrecorded.
    """

    # attributes beside each other: a task begins when little of this is in the processor's caches
    __slots__ = (
        "_attempt", "_command", "_composed", "_counters", "_descendants", "_failure", "_function_id",
        "_function_ids", "_held", "_held_id", "_io", "_known", "_mono_ns", "_output", "_result", "_run", "_sandbox",
        "_sequence", "_start_ns", "_started", "_task", "_task_id", "notes", "seen",
    )  # fmt: skip

    def __init__(self, crate_dir: str) -> None:
        super().__init__(crate_dir)
        self._counters = Counters(self._thread is not None)
        self._descendants = Descendants(self._thread or self.pid)
        self._known: KnownFunction | None = None
        self._io = b""
        self._held: str | None = None
        self._held_id = NO_ID
        self._sandbox: str | None = None
        self._task_id = UUID(int=0)
        self._task = NO_ID
        self._attempt = 0
        self._function_ids = FunctionIds()
        self._function_id: str | None = None
        self._run = ""
        self._start_ns = self._mono_ns = 0
        self._sequence = 0
        self._started = False
        self._failure: str | None = None
        self._result: str | None = None
        self._command: str | None = None
        self._output: str | None = None
        self._composed: commands.Composed | None = None
        self.notes: Notes | None = None
        #: For whoever calls the task's function: whether it was seen how that ended.
        self.seen = False

    @property
    def attempt_id(self) -> AttemptId:
        """The attempt that runs, or that has ended last."""
        from prov_worker.attempt import AttemptId

        return AttemptId(str(self._task_id), self._attempt, self._start_ns)

    def begin(
        self,
        task_id: Any,
        attempt: int,
        function_id: str | None,
        sandbox: str | None = None,
        run: str | None = None,
        limit_ns: int = 0,
    ) -> None:
        """Begin a task that has arrived.

        Args:
            task_id: a ``uuid.UUID`` or its text.
            attempt: 1 for the first.
            function_id: of Globus Compute, if it is known.
            sandbox: the task's directory, if it has one.
            run: name of the run that its client says it is a part of.
            limit_ns: how long it may take; 0 is no limit.
        """
        self._sandbox = sandbox
        self._run = f',"run":{quote(run)}' if run else ""
        mono_ns = _clock_ns()
        if mono_ns > self._due_ns:
            self._check_places(mono_ns)
            mono_ns = _clock_ns()  # the first task of a worker does not pay for the agent's start
        if type(task_id) is not UUID:
            task_id = UUID(str(task_id))  # one spelling everywhere: slot, journal and crate must agree
        self._task_id = task_id
        self._task = task = task_id.int.to_bytes(16, "big")
        self._attempt = attempt
        self._function_id = function_id
        self._started = False
        self._failure = self._result = self._known = self._command = self._output = self._composed = None
        self._io, self._held = b"", None
        self.notes = None
        running.task = self
        slot = self._slot
        if limit_ns:
            slot.limit(limit_ns)  # type: ignore[union-attr]
        if slot.halves[LISTED] or self._descendants.any:  # type: ignore[union-attr]
            self._descendants.begin(slot)  # type: ignore[arg-type]
        cpu_s = self._counters.begin()
        self._mono_ns = mono_ns
        self._start_ns = start_ns = _wall_ns()
        # the sum of both is the very clock that the agent reads from outside
        self._sequence = slot.begin(start_ns, mono_ns, int(cpu_s * 1e9), task, attempt)  # type: ignore[union-attr]

    def called(
        self,
        packed: str,
        function: Any,
        args: Any,
        kwargs: Any,
        *,
        size: int | None = None,
        name: str | None = None,
        part: str | None = None,
    ) -> None:
        """Note that the task is unpacked and its function about to be called.

        Args:
            packed: the task's buffer: the serialised function, arguments and keyword arguments, each after its length.
            function: what came out of it, and will be called.
            args: its positional arguments.
            kwargs: its keyword arguments.
            size: of the data, for a call that came unpacked: ``packed`` is empty then.
            name: what the function goes by, if that is not its own name.
            part: of which task this is a part, and of which others it needs the results
                (:class:`prov_worker.model.Part`), as JSON.
        """
        self._known = entry = self._functions.find(packed, function, name)
        if entry.line is not None:
            self._outlet.keep(entry.line)
            entry.line = None
        function_id, more = self._function_ids[self._function_id]
        if self.capture != "none" and (args or kwargs):
            small = (len(packed) if size is None else size) <= capture.HASH_LIMIT
            described = capture.describe_call(entry.names, args, kwargs, self.capture == "values", small)
            more += f',"args":{described}'
        if self._keep_call:
            more += self._keep_call(packed, redacted=entry.redacted, arguments=more)
        more += self._run
        if part is not None:
            more += f',"part":{part}'
        slot = self._slot
        if entry.quick >= _QUICK_CALLS and len(more) <= NOTE_LIMIT and slot.path:  # type: ignore[union-attr]
            # a record less: should the worker die within the task, the agent finds its start in the slot
            slot.note(entry.number, function_id, more.encode() if more else b"")  # type: ignore[union-attr]
            self._held, self._held_id = more, function_id
        else:
            affinity = os.sched_getaffinity(0)
            if affinity != self._affinity:
                self._affinity = affinity
                more += f',"aff":{sorted(affinity)}'
            if self._sandbox is not None:
                more += f',"box":{quote(self._sandbox)}'
            placement = mpi_placement(os.environ)
            if placement:
                more += f',"mpi":{json.dumps(placement)}'
            start = PACK_START.pack(START, 0, 0, self._attempt, self._start_ns, self._task, function_id, entry.number)
            self._outlet.put(start + more.encode())
            self._io = self._counters.io()
        self._started = True
        if self._printed is not None:
            self._printed.begin(self._thread is not None)

    def failed(self, error: BaseException, text: str | None = None) -> None:
        """Note the task's own error, as upstream makes a result of it; ``text``: the traceback for the client."""
        self._failure = failure("exception", error, text)
        if self._composed is not None:
            self._failure = self._composed.failed(error, self._failure)

    def returned(self, value: Any, size: int) -> None:
        """Note what the function returned, and the size of its serialised form."""
        entry = self._known
        if entry is not None and entry.command:
            self._command_ended(value, entry.limit_s)
        if self.capture == "none":
            return
        if value is None and size <= capture.HASH_LIMIT:
            self._result = NONE_RESULT
            return
        self._result = capture.describe("return", value, self.capture == "values", size <= capture.HASH_LIMIT)

    def _command_ended(self, result: Any, limit_s: float | None) -> None:
        from prov_worker.recorder import commands

        outcome = commands.Outcome(result, limit_s, self.capture != "none", self.capture_output != "none")
        self._command, self._output = outcome.field, outcome.output
        if outcome.failure is not None:
            self._failure = outcome.failure

    def composed(self, command: Any, kwargs: dict[str, Any]) -> None:
        """Note the command of a bash app that Parsl is about to run. Does nothing in a forked child."""
        if Forks.count == self.forks:
            from prov_worker.recorder import commands

            self._composed = commands.Composed(command, kwargs, self.capture != "none", self.capture_output != "none")

    def noted(self, fields: dict[str, Any]) -> None:
        """Keep what user code annotated, should the worker die. Does nothing in a forked child."""
        if Forks.count == self.forks:
            self._look(_clock_ns())
            line = {"t": "notes", "task": str(self._task_id), "n": self._attempt, **fields}
            if "epoch" in fields.get("a", ()):
                line["ns"] = _wall_ns()  # its numbers are points of curves
            self._outlet.line(json.dumps(line).encode() + b"\n")

    def escaped(self, error: BaseException) -> None:
        """Note that no result left upstream's helper: the worker is about to die, or upstream itself failed."""
        kind = "exception" if isinstance(error, Exception) else "exit"
        self._failure = failure(kind, error, None)
        self.finish()

    def finish(self) -> None:
        """Close the task, which has ended, in slot and ring. Does nothing in a child that the task forked."""
        if Forks.count != self.forks:
            return
        duration = _clock_ns() - self._mono_ns
        if libraries.ENDINGS:
            libraries.end_all(self)
        try:
            if duration >= _SHORT_NS or not self._plain or not self._finish_short(duration):
                self._finish_whole(duration)
        finally:
            self._slot.end()  # type: ignore[union-attr]
        if self._wait:
            self._wait(self._slot, self._sequence, self._task_id, self._ask_for_agent)

    def _finish_short(self, duration: int) -> bool:
        """Record the end of a quick function's short call, of which there is little to say; false if there is more.

        What it used is not asked for: that would take longer than all else that is done here, and is next to nothing.
        """
        held, entry, slot = self._held, self._known, self._slot
        if (
            held is None
            or entry is None
            or self._sandbox is not None
            or self._failure
            or self._command
            or self._composed is not None
            or self.notes is not None
            or (
                (slot.halves[LISTED] or self._descendants.any)  # type: ignore[union-attr]
                and self._descendants.are_there(slot)  # type: ignore[arg-type]
            )
        ):
            return False
        if self._thread is not None:
            self._counters.skip()
        entry.quick += 1
        running.task = None
        flags = OK
        result = self._result
        if result is NONE_RESULT:
            flags = OK | NONE
        elif result is not None:
            held += f',"res":{result}'
        body = PACK_SHORT.pack(
            SHORT, flags, 0, self._attempt, self._start_ns, self._mono_ns, duration, self._task,
            self._held_id, entry.number,
        )  # fmt: skip
        self._outlet.put(body + held.encode() if held else body)
        return True

    def _finish_whole(self, duration: int) -> None:
        counters = self._counters
        entry = self._known
        counters.end()
        more = self._held
        kind, number = (END, 0) if more is None or entry is None else (WHOLE, entry.number)
        more = more or ""
        function_id = NO_ID
        if kind == WHOLE or not self._started:
            function_id, text = self._function_ids[self._function_id]
            if not self._started:
                more += text + self._run
        flags = 0 if self._failure else OK
        kin = self._descendants.field(self._slot, duration > _QUICK_NS)  # type: ignore[arg-type]
        if kin:
            more += kin
        children_peak_kb = counters.children_peak_kb()
        if children_peak_kb:
            more += f',"kinpeak":{children_peak_kb}'
        if duration > _QUICK_NS:
            if self._io:
                more += f',"io":{quote((self._io + counters.io()).decode("ascii", "replace"))}'
            self._look(self._mono_ns + duration)
            more += f',"rss":{counters.rss_bytes() or "null"}'
            if entry is not None:
                entry.quick = 0
        elif entry is not None:
            entry.quick += 1
            if self._io and entry.quick < _QUICK_CALLS:
                more += f',"io":{quote((self._io + counters.io()).decode("ascii", "replace"))}'
        if self._failure:
            more += f',"err":{self._failure}'
        if self._result is not None and (not self._failure or self._command):
            if self._result is NONE_RESULT:
                flags |= NONE
            else:
                more += f',"res":{self._result}'
        if self._printed is not None:
            printed = self._printed.end(self._thread is not None)
            self._output = self._output or printed
        if self._composed is not None:
            self._command = self._composed.field()
            more += self._composed.files()
        if self._command:
            more += f',"cmd":{self._command}'
        if self._output:
            more += f',"out":{self._output}'
        if self._sandbox is not None:
            more += f',"box":{quote(self._sandbox)}'
            if self._list_files:
                listing = self._list_files(self._sandbox)
                more += f',"files":{json.dumps({} if listing is None else listing[0])}'
        running.task = None
        if self.notes is not None:
            more += f',"notes":{json.dumps(self.notes.fields())}'
        body = counters.record(
            kind, flags, self._attempt, self._start_ns, self._mono_ns, duration, self._task, function_id, number
        )
        self._outlet.put(body + more.encode() if more else body)
