"""One thread of a worker: its settings, the slot and the outlet that it writes to, and the agent that reads them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prov_worker.errors import SpoolError
from prov_worker.interruptions import is_own
from prov_worker.processes import process_start
from prov_worker.recorder import context, libraries
from prov_worker.recorder.errors import log, log_internal_error
from prov_worker.recorder.failures import redacted
from prov_worker.recorder.forks import Forks
from prov_worker.recorder.known_functions import KnownFunctions
from prov_worker.recorder.outlet import Outlet
from prov_worker.recorder.worker_info import worker_facts
from prov_worker.redact import secret_values
from prov_worker.spool import VERSION, launch
from prov_worker.spool.paths import JournalName, runtime_dir, spool_dir
from prov_worker.spool.slot import MARK, OFF, Slot
from prov_worker.worker_settings import AT_END, PACKED, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: How often it is looked whether an agent serves here.
_CHECK_AGENT_NS = 5_000_000_000
#: How often it is looked whether ring or journal still are what their paths lead to.
_LOOK_NS = 900_000_000


class WorkerThread:
    """What a recorder has for all of its tasks.

    Args:
        crate_dir: absolute path, where crates will appear.

    Raises:
        OSError, SpoolError: neither slot nor journal can be made.
    """

    __slots__ = (
        "_affinity", "_checked_ns", "_due_ns", "_functions", "_keep_call", "_list_files", "_looked_ns", "_name",
        "_outlet", "_plain", "_printed", "_runtime", "_slot", "_thread", "_wait", "capture", "capture_output",
        "crate_dir", "forks", "pid", "provenance_key",
    )  # fmt: skip

    def __init__(self, crate_dir: str) -> None:
        self.pid = os.getpid()
        self.forks = Forks.count
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
        if refused and self._runtime:
            log.warning("slots are in %s, because of %s", self._runtime, "; ".join(refused))
        journal = os.path.join(spool, str(self._name))
        self._outlet = Outlet(self._runtime, crate_dir, journal, self.pid, self._thread or 0, start)
        if not in_thread:
            os.environ[MARK] = f"{self.pid}-{start}"  # by which the agent knows what has left this process's tree
        self._slot: Slot | None = None
        self._checked_ns = self._looked_ns = self._due_ns = 0
        self.provenance_key: str | None = None
        self._functions = KnownFunctions()
        self._affinity = os.sched_getaffinity(0)
        self.capture = "types"
        self._plain = True
        # what does that which settings ask for and few do; None for most
        self._wait: Callable[..., None] | None = None
        self._list_files: Callable[[str], Any] | None = None
        self._keep_call: Callable[..., str] | None = None
        self._printed: ModuleType | None = None
        self.capture_output = "commands"

    def use(self, provenance: Mapping[str, Any], endpoint_id: Any) -> None:
        """Take the settings that came with a task; does nothing if they are those of the task before."""
        if provenance["key"] == self.provenance_key:
            return
        settings = WorkerSettings(provenance["settings"])
        self._load(settings)
        self.capture = "values" if self._keep_call else settings.capture_arguments
        self.capture_output = settings.capture_output
        self._outlet.limit = settings.ring_limit
        line = worker_line(self._name, self._thread, endpoint_id, self._affinity, settings, provenance)
        # the slot first: an agent that looks between the two finds a worker without records, which is no harm
        if self._slot is None:
            self._slot = make_slot(
                self._runtime, self.crate_dir, self._name, self._thread, settings, self._outlet.journal
            )
            self._outlet.open(bool(self._slot.path))
        if provenance.get("stream") and self._slot.path:
            ask_for_events(self._runtime, provenance["stream"])
        if self._slot.path and self._thread is None:
            context.publish(self._slot.path, provenance, endpoint_id)
        libraries.watch(settings.capture)
        if not self._slot.path:
            self._wait = None
        self._outlet.keep(line, first=True)
        self._functions.clear()
        self.provenance_key = provenance["key"]

    def _load(self, settings: WorkerSettings) -> None:
        """Import what few settings need, before any code of a task's runs."""
        self._wait = self._list_files = self._keep_call = self._printed = None
        if settings.write == "before_result":
            from prov_worker.recorder.crate_wait import wait_for_crate

            self._wait = wait_for_crate
        if settings.capture_outputs == AT_END:
            from prov_worker.sandbox import list_files

            self._list_files = list_files
        if settings.capture_arguments == PACKED:
            from prov_worker.recorder import packed_call

            self._keep_call = packed_call.field
        if settings.capture_output == "tail":
            from prov_worker.recorder import output

            self._printed = output
        self._plain = self._printed is None

    @property
    def runtime(self) -> str:
        """The runtime directory; empty if there is none."""
        return self._runtime

    def _check_places(self, mono_ns: int) -> None:
        """See before a task whether slot, ring, journal and agent are there, and make again what is not."""
        if make_again(self._slot, self._runtime, self.crate_dir):
            self._checked_ns = 0  # its agent may be gone with it
        self._look(mono_ns)
        if mono_ns - self._checked_ns > _CHECK_AGENT_NS:
            self._checked_ns = mono_ns
            self._outlet.check()
        # not when the end of a task looked last: of tasks without a pause that is always so
        self._due_ns = mono_ns + _LOOK_NS

    def _look(self, mono_ns: int) -> None:
        """See now and then whether what is written to still is what its path leads to."""
        if mono_ns - self._looked_ns > _LOOK_NS:
            self._looked_ns = mono_ns
            self._outlet.look()

    def _ask_for_agent(self) -> None:
        launch.ensure_agent(self._runtime, self.crate_dir)


def worker_line(
    name: JournalName,
    thread: int | None,
    endpoint_id: Any,
    affinity: Iterable[int],
    settings: WorkerSettings,
    provenance: Mapping[str, Any],
) -> bytes:
    """Return the journal's line about a worker, without secrets.

    Args:
        name: of its journal.
        thread: native id of the thread; None for the main one.
        endpoint_id: of Globus Compute; None if it is not known.
        affinity: numbers of the CPUs that the worker may use.
        settings: that came with a task.
        provenance: all that came with it.
    """
    line = {
        "t": "worker",
        "v": VERSION,
        "host": name.host,
        "place": name.place,
        "pid": os.getpid(),
        "thread": thread,
        "endpoint": None if endpoint_id is None else str(endpoint_id),
        "endpoint_name": provenance.get("endpoint_name"),
        "aff": sorted(affinity),
        **worker_facts(os.environ, settings.capture_environment),
        "settings": provenance["settings"],
    }
    return json.dumps(redacted(line, secret_values())).encode() + b"\n"


def make_slot(
    runtime: str, crate_dir: str, name: JournalName, thread: int | None, settings: WorkerSettings, journal: str
) -> Slot:
    """Make the slot of a worker thread; one in memory, which no agent sees, if there can be none.

    Args:
        runtime: directory of slots; empty if there is none.
        crate_dir: where crates appear.
        name: of the journal.
        thread: native id of the thread; None for the main one.
        settings: that came with a task.
        journal: its path.
    """
    pid = os.getpid()
    try:
        if not runtime:
            raise FileNotFoundError("no runtime directory")
        if not os.path.isdir(runtime):
            runtime_dir(crate_dir)  # an agent that left has just tidied it away
        return Slot(
            os.path.join(runtime, f"slot.{pid}" if thread is None else f"slot.{pid}-{thread}"),
            pid,
            thread or 0,
            name.start,
            settings.poll_interval,
            journal,
            settings.intervals(OFF),
        )
    except (OSError, ValueError) as error:
        if not is_own(error):
            raise
        log_internal_error("making a slot")  # no sample, no plot; `prov-worker recover` writes the crates
        return Slot.in_memory()


def make_again(slot: Slot | None, runtime: str, crate_dir: str) -> bool:
    """Make a slot again if a log-out or the end of a job has removed it; whether it was."""
    if slot is None or slot.is_there():
        return False
    try:
        if not os.path.isdir(runtime):
            runtime_dir(crate_dir)
        slot.make_again()
    except (OSError, SpoolError) as error:
        if not is_own(error):
            raise
        log_internal_error("making a slot again")
        return False
    return True


def ask_for_events(runtime: str, stream: Mapping[str, Any]) -> None:
    """Leave the agent word of where events are to go."""
    from prov_worker.spool.stream_request import leave_request  # few workers are asked for events

    try:
        leave_request(runtime, stream)
    except OSError as error:
        if not is_own(error):
            raise
        log_internal_error("asking for events")
