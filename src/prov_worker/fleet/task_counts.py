"""Tasks of an endpoint, counted from its journals: crates are collected and moved, journals stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.model import COMPLETED
from prov_worker.spool.journal import JournalReader
from prov_worker.spool.paths import CLOSED, JournalName, places_here, spool_dir
from prov_worker.spool.records import JournalState, cannot_read


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks by how their last execution stands.

    Attributes:
        completed: ended well.
        failed: ended otherwise, or begun by a worker that is gone.
        running: begun by a worker that lives on this host, or may live on another one.
        unread: journals of a later release, whose tasks are not counted, each with the reason.
    """

    completed: int = 0
    failed: int = 0
    running: int = 0
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class _Journal:
    reader: JournalReader
    state: JournalState
    foreign: bool = False


class Tally:
    """Counts tasks; what was read once is not read again."""

    def __init__(self) -> None:
        self._journals: dict[tuple[str, str, str], _Journal] = {}
        self._last: dict[str, dict[str, tuple[int, bool]]] = {}

    def count(self, folder: ManagedEndpoint) -> Counts:
        """Count the tasks of all of an endpoint's journals. A journal that cannot be read is passed over."""
        identity = folder.endpoint_id
        if identity is None:
            return Counts()
        last = self._last.setdefault(identity, {})
        open_tasks: dict[str, tuple[int, bool]] = {}
        for directory in crate_dirs(folder):
            spool = Path(spool_dir(str(directory)))
            for path in (*spool.glob("*.jsonl"), *(spool / CLOSED).glob("*.jsonl")):
                self._read(identity, path, last, open_tasks)
        unread = tuple(
            f"{journal.reader.path}: {cannot_read(journal.state.later_version)}"
            for (owner, _, _), journal in sorted(self._journals.items())
            if owner == identity and journal.state.later_version is not None
        )
        completed = failed = running = 0
        for task, (began, alive) in open_tasks.items():
            if began > last.get(task, (0, True))[0]:
                running += alive
                failed += not alive
        for task, (began, good) in last.items():
            if began >= open_tasks.get(task, (0, True))[0]:
                completed += good
                failed += not good
        return Counts(completed, failed, running, unread)

    def _read(
        self, identity: str, path: Path, last: dict[str, tuple[int, bool]], open_tasks: dict[str, tuple[int, bool]]
    ) -> None:
        closed = path.parent.name == CLOSED
        key = (identity, str(path.parent.parent if closed else path.parent), path.name)
        journal = self._journals.setdefault(key, _Journal(JournalReader(str(path)), JournalState()))
        if journal.foreign:
            return
        journal.reader.path = str(path)  # it is moved when its worker is gone
        state = journal.state
        try:
            for line in journal.reader.read():
                ended = state.feed(line)
                if line.get("t") == "worker":
                    name = state.worker.get("endpoint_name")
                    # A directory of crates may be shared by endpoints.
                    if isinstance(name, str) and name.startswith("uep.") and not name.startswith(f"uep.{identity}."):
                        journal.foreign = True
                        return
                if ended is not None:
                    record = ended.record
                    if record.start_ns >= last.get(record.task_id, (0, False))[0]:
                        last[record.task_id] = (record.start_ns, record.status == COMPLETED)
        except OSError:
            return
        parsed = JournalName.parse(path.name)
        alive = not closed and parsed is not None and parsed.lives(places_here()) is not False
        for attempt in state.open_attempts():
            if attempt.start_ns >= open_tasks.get(attempt.task_id, (0, False))[0]:
                open_tasks[attempt.task_id] = (attempt.start_ns, alive)


def crate_dirs(folder: ManagedEndpoint) -> list[Path]:
    """Return where crates of an endpoint appear: as its options say, else one directory per user endpoint."""
    named = folder.spec.values.get("crate_dir")
    if named:
        return [Path(named)]
    identity = folder.endpoint_id
    return sorted((folder.spec.user_dir / "provenance").glob(f"uep.{identity}.*")) if identity else []
