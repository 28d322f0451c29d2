"""What workers' journals say of a task that the engine reports as lost."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

from prov_worker.agent.journal_follower import Follower
from prov_worker.model import Failure
from prov_worker.spool.notes import journal_of, read_notes
from prov_worker.spool.paths import CLOSED, JOURNAL_SUFFIX, LEDGER_SUFFIX, NOTES_SUFFIX, spool_dir
from prov_worker.spool.records import Ended


@dataclass(slots=True)
class Evidence:
    """What was found.

    Attributes:
        published: this very attempt has a crate already.
        ended: the attempt as the worker's journal tells it, with the worker's own view of how it ended.
    """

    published: bool = False
    ended: Ended | None = None


def evidence_of(crate_dir: str, runtime: str | None, lost: Ended, finaliser: str) -> Evidence:
    """Look in the ledgers and journals of a spool for an attempt.

    Args:
        crate_dir: the crate directory.
        runtime: this node's runtime directory, where fallback journals may be.
        lost: the engine's word on the attempt.
        finaliser: name of this process.
    """
    spool = spool_dir(crate_dir)
    task, attempt = lost.record.task_id, lost.record.attempt
    needle = f"{task} {attempt} ".encode()
    for directory in (spool, os.path.join(spool, CLOSED)):
        for ledger in glob.glob(os.path.join(glob.escape(directory), f"*{LEDGER_SUFFIX}")):
            if _contains(ledger, needle):
                return Evidence(published=True)
    for directory in (spool, os.path.join(spool, CLOSED), os.path.join(runtime or spool, "spool")):
        start = f'"t":"start","task":"{task}","n":{attempt},'.encode()
        for path in glob.glob(os.path.join(glob.escape(directory), "*")):
            if path.endswith((JOURNAL_SUFFIX, NOTES_SUFFIX)) and _contains(path, start):
                journal = path if path.endswith(JOURNAL_SUFFIX) else journal_of(path)
                ended = _attempt(journal, task, attempt, lost, finaliser)
                if ended is not None:
                    return Evidence(ended=ended)
    return Evidence()


def _attempt(journal: str, task: str, attempt: int, lost: Ended, finaliser: str) -> Ended | None:
    follower = Follower(journal, None, finaliser)
    for ended in follower.read_all():
        if (ended.record.task_id, ended.record.attempt) == (task, attempt):
            return ended
    for note in read_notes(journal):
        if (note["task"], note["n"]) == (task, attempt):
            follower.note(note)
    for begun in follower.state.open_attempts():
        if (begun.task_id, begun.attempt) == (task, attempt):
            failure = lost.record.failure or Failure("lost", "the engine reported the worker as lost")
            return follower.state.close(begun, failure, lost.record.end_ns, forget=False)
    return None


def _contains(path: str, needle: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            rest = b""
            while block := file.read(1 << 20):
                if needle in rest + block:
                    return True
                rest = block[-len(needle) :]
    except OSError:
        pass
    return False
