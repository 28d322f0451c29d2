"""One recorder per worker thread: notes in slot and journal that a task begins, what it calls, and how it ended.

The order of things is what makes a killed task leave a trace: the slot says that a task runs before it is unpacked, the
``start`` line is written before the user's function is called, and the ``end`` line before the result is released.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from types import FunctionType
from typing import Any
from uuid import UUID

from prov_worker.errors import SpoolError
from prov_worker.interruptions import is_own
from prov_worker.processes import process_start
from prov_worker.recorder import capture, commands, functions, output
from prov_worker.recorder.annotations import Notes, running
from prov_worker.recorder.counters import Counters
from prov_worker.recorder.descendants import Descendants
from prov_worker.recorder.errors import log_internal_error
from prov_worker.recorder.worker_info import mpi_placement, worker_facts
from prov_worker.redact import redact, redact_part, secret_values
from prov_worker.sandbox import list_files
from prov_worker.settings import AT_END, Settings
from prov_worker.spool import launch
from prov_worker.spool.journal import VERSION, JournalWriter
from prov_worker.spool.paths import JournalName, runtime_dir, spool_dir
from prov_worker.spool.slot import MARK, NOTE_LIMIT, OFF, Slot

log = logging.getLogger(__name__)

#: A task shorter than this is quick: what it reads and how it grows is not worth a system call each.
_QUICK_NS = 1_000_000
#: A function is quick after so many quick calls in a row.
_QUICK_CALLS = 8
_CHECK_AGENT_NS = 5_000_000_000
#: How often it is looked whether the journal still is what its path leads to.
_LOOK_NS = 900_000_000
_MAX_FUNCTIONS = 1000
_MAX_KEPT_BUFFER = 64 << 10
_MAX_MESSAGE = 2000
_MAX_TRACEBACK = 64 << 10
_WAIT_NS = 60_000_000_000
_ASK_AGENT_NS = 1_000_000_000


class _Forks:
    """Counts the forks that led to this process: a child must not write what is its parent's."""

    count = 0

    @classmethod
    def happened(cls) -> None:
        """Called in the child."""
        cls.count += 1


os.register_at_fork(after_in_child=_Forks.happened)


class _Known:
    """A function met before: its number in the journal, its parameters, and how many quick calls in a row it had."""

    __slots__ = ("code", "command", "limit_s", "names", "number", "quick")

    def __init__(self, number: int, names: tuple[str, ...], code: Any) -> None:
        self.command = False
        self.limit_s: float | None = None
        self.number = number
        self.names = names
        self.code = code
        self.quick = 0


class Recorder:
    """Records the tasks of one thread of one worker process into one crate directory.

    Args:
        crate_dir: absolute path, where crates will appear.

    Raises:
        OSError, SpoolError: neither slot nor journal can be made. The caller runs the task unrecorded.
    """

    # bound here, where programs that replace the clocks of modules do not look
    _clock_ns = staticmethod(time.monotonic_ns)
    _wall_ns = staticmethod(time.time_ns)
    _sleep = staticmethod(time.sleep)

    def __init__(self, crate_dir: str) -> None:
        self.pid = os.getpid()
        self.forks = _Forks.count
        self.crate_dir = crate_dir
        in_thread = threading.current_thread() is not threading.main_thread()
        self._thread = threading.get_native_id() if in_thread else None
        start = process_start(self.pid)
        spool = spool_dir(crate_dir)
        refused: list[str] = []
        try:
            self._runtime = runtime_dir(crate_dir, refused)
        except SpoolError:
            log_internal_error("making a runtime directory")
            self._runtime = ""
        self._name = JournalName.here(self._runtime or None, self.pid, start, self._thread)
        journal = os.path.join(spool, str(self._name))
        fallback = os.path.join(self._runtime, "spool", str(self._name)) if self._runtime else journal
        if refused and self._runtime:
            log.warning("slots are in %s, because of %s", self._runtime, "; ".join(refused))
        self._journal = JournalWriter(journal, fallback)
        if not in_thread:
            os.environ[MARK] = f"{self.pid}-{start}"  # by which the agent knows what has left this process's tree
        self._counters = Counters(in_thread)
        self._descendants = Descendants(self._thread or self.pid)
        self._slot: Slot | None = None
        self._checked_ns = self._looked_ns = 0
        self._provenance_key: str | None = None
        self._functions: dict[Any, _Known] = {}
        self._known: _Known | None = None
        self._io = b""
        self._held = ""
        self._function_count = 0
        self._affinity = os.sched_getaffinity(0)
        self.capture = "types"
        self._wait = self._list_files = False
        self._sandbox: str | None = None
        self._task = self._task_json = ""
        self._attempt = 0
        self._function_id: str | None = None
        self._start_ns = self._mono_ns = 0
        self._sequence = 0
        self._started = False
        self._failure: str | None = None
        self._result: str | None = None
        self._command: str | None = None
        self._output: str | None = None
        self._composed: commands.Composed | None = None
        self.capture_output = "commands"
        self.notes: Notes | None = None

    def use(self, provenance: Mapping[str, Any], endpoint_id: Any) -> None:
        """Take the settings that came with a task; does nothing where they are those of the task before."""
        if provenance["key"] == self._provenance_key:
            return
        settings = Settings.from_mapping(provenance["settings"])
        self.capture = settings.capture_arguments
        self._wait = settings.write == "before_result"
        self.capture_output = settings.capture_output
        self._list_files = settings.capture_outputs == AT_END
        line = {
            "t": "worker",
            "v": VERSION,
            "host": self._name.host,
            "place": self._name.place,
            "pid": self.pid,
            "thread": self._thread,
            "endpoint": None if endpoint_id is None else str(endpoint_id),
            "endpoint_name": provenance.get("endpoint_name"),
            "aff": sorted(self._affinity),
            **worker_facts(os.environ, settings.capture_environment),
            "settings": provenance["settings"],
        }
        text = json.dumps(_redacted(line, secret_values()))
        # the slot first: an agent that looks between the two finds a journal without lines, which is no harm
        suffix = f"{self.pid}" if self._thread is None else f"{self.pid}-{self._thread}"
        if self._slot is None:
            try:
                if not self._runtime:
                    raise FileNotFoundError("no runtime directory")
                if not os.path.isdir(self._runtime):
                    runtime_dir(self.crate_dir)  # an agent that left has just tidied it away
                self._slot = Slot(
                    os.path.join(self._runtime, f"slot.{suffix}"),
                    self.pid,
                    self._thread or 0,
                    self._name.start,
                    settings.poll_interval,
                    self._journal.path,
                    settings.telemetry.intervals(settings.poll_interval, OFF),
                )
            except (OSError, ValueError) as error:
                if not is_own(error):
                    raise
                log_internal_error("making a slot")  # no sample, no plot; `prov-worker recover` writes the crates
                self._slot = Slot.unseen()
        self._wait = self._wait and bool(self._slot.path)
        self._journal.remember(text.encode() + b"\n", first=True)
        self._functions.clear()
        self._provenance_key = provenance["key"]

    def begin(self, task_id: Any, attempt: int, function_id: str | None, sandbox: str | None = None) -> None:
        """A task has arrived. ``task_id`` is a ``uuid.UUID`` or its text; ``sandbox`` its directory, if it has one."""
        self._sandbox = sandbox
        mono_ns = self._clock_ns()
        if mono_ns - self._looked_ns > _LOOK_NS:
            self._look(mono_ns)
        if mono_ns - self._checked_ns > _CHECK_AGENT_NS:
            self._checked_ns = mono_ns
            if self._runtime:
                launch.ensure_agent(self._runtime, self.crate_dir)
            mono_ns = self._clock_ns()  # the first task of a worker does not pay for the agent's start
        if type(task_id) is not UUID:
            task_id = UUID(str(task_id))  # one spelling everywhere: slot, journal and crate must agree
        self._task = text = str(task_id)
        self._task_json = f'"{text}"'  # digits and dashes, or the next line but three raises
        self._attempt = attempt
        self._function_id = function_id
        self._started = False
        self._failure = self._result = self._known = self._command = self._output = self._composed = None
        self._io, self._held = b"", ""
        self.notes = None
        running.task = self
        self._descendants.begin(self._slot)  # type: ignore[arg-type]
        cpu_s = self._counters.begin()
        self._mono_ns = mono_ns
        self._start_ns = start_ns = self._wall_ns()
        task = task_id.bytes
        # the sum of both is the very clock that the agent reads from outside
        cpu_ns = int(cpu_s * 1e9)
        self._sequence = self._slot.begin(start_ns, mono_ns, cpu_ns, task, attempt)  # type: ignore[union-attr]

    def called(
        self, packed: str, function: Any, args: Any, kwargs: Any, *, size: int | None = None, name: str | None = None
    ) -> None:
        """The task is unpacked and its function is about to be called.

        Args:
            packed: the task's buffer: the serialised function, arguments and keyword arguments, each after its length.
            function: what came out of it, and will be called.
            args: its positional arguments.
            kwargs: its keyword arguments.
            size: of the data, for a call that came unpacked: ``packed`` is empty then.
            name: what the function goes by, where that is not its own name.
        """
        self._known = entry = self._function(packed, function, name)
        line = f'{{"t":"start","task":{self._task_json},"n":{self._attempt},"ns":{self._start_ns},"k":{entry.number}'
        if self._function_id:
            line += f',"fid":{quote(self._function_id)}'
        if self.capture != "none" and (args or kwargs):
            small = (len(packed) if size is None else size) <= capture.HASH_LIMIT
            described = capture.describe_call(entry.names, args, kwargs, self.capture == "values", small)
            line += f',"args":{described}'
        if entry.quick < _QUICK_CALLS:
            affinity = os.sched_getaffinity(0)
            if affinity != self._affinity:
                self._affinity = affinity
                line += f',"aff":{sorted(affinity)}'
            if self._sandbox is not None:
                line += f',"box":{quote(self._sandbox)}'
            placement = mpi_placement(os.environ)
            if placement:
                line += f',"mpi":{json.dumps(placement)}'
        self._io = self._counters.io()  # of a quick function too: who knows whether this call is
        encoded = f"{line}}}\n".encode()
        if entry.quick < _QUICK_CALLS or len(encoded) > NOTE_LIMIT or not self._slot.path:  # type: ignore[union-attr]
            self._journal.begun = encoded
            self._journal.write(encoded)
        else:
            # a write less: should the worker die within the task, the agent finds the line in the slot
            self._slot.note(encoded)  # type: ignore[union-attr]
            self._held = line
        self._started = True
        if self.capture_output == "tail":
            output.begin(self._thread is not None)

    def failed(self, error: BaseException, text: str | None = None) -> None:
        """The task's own error, as upstream turns it into a result; ``text`` is the traceback that the client sees."""
        self._failure = _failure("exception", error, text)
        if self._composed is not None:
            self._failure = self._composed.failed(error, self._failure)

    def returned(self, value: Any, size: int) -> None:
        """What the function returned, and the size of its serialised form."""
        entry = self._known
        if entry is not None and entry.command:
            self._command_ended(value, entry.limit_s)
        if self.capture == "none":
            return
        self._result = capture.describe("return", value, self.capture == "values", size <= capture.HASH_LIMIT)

    def _command_ended(self, result: Any, limit_s: float | None) -> None:
        outcome = commands.Outcome(result, limit_s, self.capture != "none", self.capture_output != "none")
        self._command, self._output = outcome.field, outcome.output
        if outcome.failure is not None:
            self._failure = outcome.failure

    def composed(self, command: Any, kwargs: dict[str, Any]) -> None:
        """Parsl is about to run the command of a bash app. Does nothing in a forked child."""
        if _Forks.count == self.forks:
            self._composed = commands.Composed(command, kwargs, self.capture != "none", self.capture_output != "none")

    def noted(self, fields: dict[str, Any]) -> None:
        """User code has annotated the task: keep it, should the worker die. Does nothing in a forked child."""
        if _Forks.count == self.forks:
            self._look(self._clock_ns())
            line = {"t": "notes", "task": self._task, "n": self._attempt, **fields}
            self._journal.write(json.dumps(line).encode() + b"\n")

    def escaped(self, error: BaseException) -> None:
        """Something left upstream's helper that is no result: the worker is about to die, or upstream itself failed."""
        kind = "exception" if isinstance(error, Exception) else "exit"
        self._failure = _failure(kind, error, None)
        self.finish()

    def finish(self) -> None:
        """The task has ended: close it in slot and journal. Does nothing in a child that the task forked."""
        if _Forks.count != self.forks:
            return
        counters = self._counters
        entry = self._known
        counters.end()
        duration = self._clock_ns() - self._mono_ns
        line = self._held or f'{{"t":"end","task":{self._task_json},"n":{self._attempt},"ns":{self._start_ns}'
        line += f',"m":{self._mono_ns},"dur":{duration},"ok":{0 if self._failure else 1},{counters.field()}'
        if self._io and (duration > _QUICK_NS or entry is None or entry.quick < _QUICK_CALLS):
            line += f',"io":{quote((self._io + counters.io()).decode("ascii", "replace"))}'
        line += self._descendants.field(self._slot, duration > _QUICK_NS)  # type: ignore[arg-type]
        if duration > _QUICK_NS:
            self._look(self._mono_ns + duration)
            line += f',"rss":{counters.rss_bytes() or "null"}'
            if entry is not None:
                entry.quick = 0
        elif entry is not None:
            entry.quick += 1
        if self._failure:
            line += f',"err":{self._failure}'
        if self._result is not None and (not self._failure or self._command):
            line += f',"res":{self._result}'
        if self.capture_output == "tail":
            printed = output.end(self._thread is not None)
            self._output = self._output or printed
        if self._composed is not None:
            self._command = self._composed.field()
            line += self._composed.files()
        if self._command:
            line += f',"cmd":{self._command}'
        if self._output:
            line += f',"out":{self._output}'
        if self._sandbox is not None:
            line += f',"box":{quote(self._sandbox)}'
            if self._list_files:
                listing = list_files(self._sandbox)
                line += f',"files":{json.dumps({} if listing is None else listing[0])}'
        if not self._started and self._function_id:
            line += f',"fid":{quote(self._function_id)}'
        running.task = None
        if self.notes is not None:
            line += f',"notes":{json.dumps(self.notes.fields())}'
        try:
            self._journal.write(f"{line}}}\n".encode())
            self._journal.begun = b""
        finally:
            self._slot.end()  # type: ignore[union-attr]
        if self._wait:
            self._wait_for_crate()

    def _look(self, mono_ns: int) -> None:
        """See now and then whether the journal still is what its path leads to."""
        if mono_ns - self._looked_ns > _LOOK_NS:
            self._looked_ns = mono_ns
            self._journal.look()

    def _function(self, packed: str, function: Any, name: str | None = None) -> _Known:
        """What is known of a function, writing its line into the journal where it is new."""
        buffer: str | None = None
        key: Any = None
        if packed:
            try:
                newline = packed.index("\n", 0, 32) + 1
                buffer = packed[newline : newline + int(packed[: newline - 1])]
                key = buffer if len(buffer) <= _MAX_KEPT_BUFFER else None
            except ValueError as error:
                if not is_own(error):
                    raise
                # not the packing we know: the function is described by what it is alone
        else:
            key = (functions.bound_key(function), name)
        code = function.__code__ if type(function) is FunctionType else None
        entry = self._functions.get(key) if key is not None else None
        # one payload names an importable function whatever its code: it may have been loaded again
        if entry is not None and (entry.code is code or entry.code == code):
            return entry
        self._function_count += 1
        unwrapped = functions.unwrap(function)
        entry = _Known(self._function_count, functions.parameter_names(unwrapped), code)
        fields = {"t": "function", "k": entry.number, **functions.function_fields(function, buffer, unwrapped)}
        entry.command, entry.limit_s = "command" in fields, fields.get("limit")
        if name is not None:
            fields["name"] = name
        self._journal.remember(json.dumps(fields).encode() + b"\n")
        if key is not None:
            if len(self._functions) >= _MAX_FUNCTIONS:
                self._functions.clear()
            self._functions[key] = entry
        return entry

    def _wait_for_crate(self) -> None:
        """Wait until the agent says that the crate is on disk; gives up, loudly, after a minute."""
        now = self._clock_ns()
        slot, deadline_ns, asked_ns, pause = self._slot, now + _WAIT_NS, now, 0.0005
        while slot is not None and slot.finished() < self._sequence:
            now = self._clock_ns()
            if now > asked_ns + _ASK_AGENT_NS:
                asked_ns = now
                launch.ensure_agent(self._runtime, self.crate_dir)  # it may have died meanwhile
            if now > deadline_ns:
                log.error(
                    "task %s: no crate after %.0f s; the result is released without it", self._task, _WAIT_NS / 1e9
                )
                return
            self._sleep(pause)
            pause = min(pause * 1.5, 0.01)


def _redacted(value: Any, secrets: tuple[str, ...]) -> Any:
    """Plain data with every text redacted; before it is JSON, whose escapes would hide secrets or be cut."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: _redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, secrets) for item in value]
    return value


def _failure(kind: str, error: BaseException, text: str | None) -> str:
    """A :class:`prov_worker.model.Failure` as JSON, redacted."""
    secrets = secret_values()
    try:
        message = str(error)
    except Exception as raised:
        if not is_own(raised):
            raise
        message = "(the exception's own text failed)"
    status: int | None = None
    if isinstance(error, SystemExit):
        code = error.code
        status = code if isinstance(code, int) else 0 if code is None else 1
        message = f"the function left the worker with exit status {status}" + (
            f": {message}" if isinstance(code, str) else ""
        )
    if text is None:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    fields = {
        "kind": kind,
        "message": redact_part(message, _MAX_MESSAGE, secrets),
        "type": capture.type_name(error),
        "traceback": redact_part(text, _MAX_TRACEBACK, secrets, tail=True),
        "exit_status": status,
    }
    return json.dumps(fields)


_local = threading.local()


def recorder_for(provenance: Mapping[str, Any], endpoint_id: Any) -> Recorder:
    """The recorder of this thread for the crate directory that the settings name.

    Made anew in a forked child, which must not write to its parent's journal.

    Raises:
        SettingsError, SpoolError, OSError, KeyError: as of :class:`Recorder`; recording is impossible here.
    """
    crate_dir = provenance["settings"]["crate_dir"]
    recorders: dict[str, Recorder] | None = getattr(_local, "recorders", None)
    if recorders is None:
        recorders = _local.recorders = {}
    recorder = recorders.get(crate_dir)
    if recorder is None or recorder.forks != _Forks.count:
        recorder = recorders[crate_dir] = Recorder(crate_dir)
    recorder.use(provenance, endpoint_id)
    return recorder
