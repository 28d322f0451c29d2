"""What fuzzing calls: one function per reader of files that others may have written or damaged.

Each takes the content of one file and raises where the reader breaks its promise: it raises something else than it
documents, or what it made of the content breaks whoever goes on with it.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.recover import recover
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import DirectorySource, ZipSource, digest, sources_at
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, InputError, SpoolError
from prov_worker.fleet import fleetfile
from prov_worker.model import Failure
from prov_worker.spool.notes import parse_note
from prov_worker.spool.own_files import append_own
from prov_worker.spool.slot import SIZE
from prov_worker.spool.slot_reader import SlotReader

#: Between the files of a crate; no JSON has it.
SEPARATOR = b"\x1e"
#: A worker that is gone: no process id is as high.
JOURNAL = "node1-4194304000-12345.jsonl"
_CRATE_FILES = ("ro-crate-metadata.json", "data/hardware.json", "data/resource_usage.json")
_FEW_BYTES = 1 << 20


def in_memory() -> Path | None:
    """Return where files cost little; None takes the usual place."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def journal(data: bytes) -> None:
    """All lines of a journal, those of its open tasks too; nothing is raised."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        path = Path(directory, JOURNAL)
        append_own(str(path), data)
        follower = Follower(str(path), None, "fuzz-1")
        for ended in follower.read_all():
            _ = ended.record.attempt_id
        follower.dead = True
        list(follower.close_open(Failure("unknown", "gone"), 1, None))
        _ = follower.problems, follower.obstacle(), follower.state.settings, follower.state.sandboxes()
        for line in data.split(b"\n"):
            note = parse_note(line)
            if note is not None:
                follower.note(note)


def records(data: bytes) -> None:
    """``prov-worker recover`` of a journal; whatever it publishes is a crate that can be read."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        append_own(str(Path(directory, ".spool", JOURNAL)), data)
        recover(Path(directory), take_over=True)
        for crate in Path(directory).glob("*.crate"):
            open_step(DirectorySource(crate))


def slot(data: bytes) -> None:
    """A worker's page of shared memory, as the agent reads it at each tick."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        path = Path(directory, "slot.1")
        append_own(str(path), data[:SIZE])
        try:
            reader = SlotReader(str(path))
        except SpoolError:
            return
        task = reader.read()
        sequence = reader.sequence()
        if task is not None:
            _ = task.attempt_id, task.running
            note = reader.note(task)
            if note is not None:
                parse_note(note)
        reader.begun_descendants(sequence)
        reader.list_descendants([(1, 2)] * 40)
        reader.acknowledge(sequence & ((1 << 64) - 1))
        _ = reader.is_let_go()
        reader.close()


def _read_crate(crate: DirectorySource | ZipSource) -> None:
    check_crate(crate)
    try:
        step, opened = open_step(crate)
    except CrateError:
        return
    _ = step.figures, step.worker, step.attempt_id, step.began_ns, opened.description
    for look in (StepCrate.hardware, StepCrate.series):
        try:
            look(opened)
        except CrateError:
            pass


def crate(data: bytes) -> None:
    """A crate in a directory: metadata, hardware and samples, with :data:`SEPARATOR` between them."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        top = Path(directory, f"{uuid.UUID(int=1)}.crate")
        (top / "data").mkdir(parents=True)
        for name, content in zip(_CRATE_FILES, data.split(SEPARATOR), strict=False):
            (top / name).write_bytes(content)
        _read_crate(DirectorySource(top))


def archive(data: bytes) -> None:
    """A zip file of crates: nothing but CrateError, whatever its directory says."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        path = Path(directory, "crates.zip")
        path.write_bytes(data)
        try:
            for source in sources_at(path):
                _read_crate(source)
                for name, size in source.files():
                    try:
                        if size < _FEW_BYTES:
                            digest(source, name)
                    except CrateError:
                        pass
        except CrateError:
            return


def fleet(data: bytes) -> None:
    """A fleet file: nothing but InputError, which is one line of a length that a person reads."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        path = Path(directory, "fleet.yaml")
        path.write_bytes(data)
        try:
            parsed = fleetfile.read(path)
        except InputError as error:
            message = str(error)
            assert "\n" not in message, message
            assert len(message) < 4000 + 2 * len(data), len(message)
            return
        for endpoint in parsed.chosen():
            _ = endpoint.values, endpoint.directory


#: By name, which is that of the folder of its corpus but for :data:`CORPORA`.
READERS: dict[str, Callable[[bytes], None]] = {
    "journal": journal,
    "records": records,
    "slot": slot,
    "crate": crate,
    "zip": archive,
    "fleet": fleet,
}

#: Readers that share the corpus of another one.
CORPORA = {"records": "journal"}
