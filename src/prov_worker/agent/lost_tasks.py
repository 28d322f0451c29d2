"""What workers' journals say of a task that the engine reports as lost."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

from prov_worker.agent.journal_follower import Follower
from prov_worker.model import Failure
from prov_worker.spool.journal import mentions
from prov_worker.spool.ledger import is_done
from prov_worker.spool.notes import journal_of, read_notes
from prov_worker.spool.paths import CLOSED, JOURNAL_SUFFIX, LEDGER_SUFFIX, NOTES_SUFFIX, JournalName, own_spools
from prov_worker.spool.records import Ended


@dataclass(slots=True)
class Evidence:
    """What was found.

    Attributes:
        published: this very attempt has a crate already.
        ended: the attempt as the worker's journal tells it, with the worker's own view of how it ended.
        unread: what to say of a file that may tell of the task and cannot be read.
    """

    published: bool = False
    ended: Ended | None = None
    unread: str | None = None


def evidence_of(crate_dir: str, runtime: str | None, lost: Ended, finaliser: str) -> Evidence:
    """Look in the ledgers and journals of a spool for an attempt.

    Args:
        crate_dir: the crate directory.
        runtime: this node's runtime directory, where fallback journals may be.
        lost: the engine's word on the attempt.
        finaliser: name of this process.
    """
    spools = own_spools(crate_dir)
    places = [path for spool in spools for path in (spool, os.path.join(spool, CLOSED))]
    task, attempt = lost.record.task_id, lost.record.attempt
    evidence = Evidence()
    for directory in places:
        for ledger in glob.glob(os.path.join(glob.escape(directory), f"*{LEDGER_SUFFIX}")):
            try:
                if is_done(ledger, task, attempt):
                    return Evidence(published=True)
            except OSError as error:
                evidence.unread = _could_not_be_read(ledger, error)
    for directory in [*places, *([os.path.join(runtime, "spool")] if runtime else [])]:
        for journal in _journals_about(directory, task, evidence):
            follower = Follower(journal, None, finaliser)
            try:
                evidence.ended = _attempt(follower, task, attempt, lost)
            except OSError as error:
                evidence.unread = _could_not_be_read(journal, error)
            if evidence.ended is not None:
                return evidence
            if follower.later_version is not None:
                evidence.unread = f"The journal {journal} tells of this task and is of a later release"
    return evidence


def complete(lost: Ended, evidence: Evidence) -> None:
    """Put into a lost attempt what its own node reports of it, or say that nobody does.

    Args:
        lost: the engine's word on the attempt.
        evidence: what :func:`evidence_of` found.
    """
    reported = evidence.ended
    if reported is None:
        reason = evidence.unread or "No worker began this task"
        lost.record.notes.append(f"{reason}: its start is the moment when the engine took it.")
        return
    reported.record.failure = lost.record.failure
    reported.record.function.id = reported.record.function.id or lost.record.function.id
    reported.record.end_ns = max(lost.record.end_ns, reported.record.start_ns)
    lost.record = reported.record
    lost.function = reported.function
    lost.settings = reported.settings or lost.settings


def _could_not_be_read(path: str, error: OSError) -> str:
    return f"{path} may tell of this task and could not be read ({error.strerror})"


def _journals_about(directory: str, task: str, evidence: Evidence) -> list[str]:
    """Return journals of workers which, or whose notes, hold the id of a task. An engine tells of the loss alone."""
    journals: dict[str, None] = {}
    for path in glob.glob(os.path.join(glob.escape(directory), "*")):
        if path.endswith((JOURNAL_SUFFIX, NOTES_SUFFIX)):
            journal = path if path.endswith(JOURNAL_SUFFIX) else journal_of(path)
            name = JournalName.parse(os.path.basename(journal))
            try:
                if (name is None or not name.is_engine) and mentions(path, task):
                    journals[journal] = None
            except OSError as error:
                evidence.unread = _could_not_be_read(path, error)
    return list(journals)


def _attempt(follower: Follower, task: str, attempt: int, lost: Ended) -> Ended | None:
    for ended in follower.read_all():
        if (ended.record.task_id, ended.record.attempt) == (task, attempt) and not ended.lost:
            return ended
    if follower.later_version is not None:
        return None
    for note in read_notes(follower.path):
        if (note["task"], note["n"]) == (task, attempt):
            follower.note(note)
    for begun in follower.state.open_attempts():
        if (begun.task_id, begun.attempt) == (task, attempt):
            failure = lost.record.failure or Failure("lost", "the engine reported the worker as lost")
            return follower.state.close(begun, failure, lost.record.end_ns, forget=False)
    return None
