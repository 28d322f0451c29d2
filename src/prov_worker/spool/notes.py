"""Notes: ``start`` lines of long-running tasks that a worker kept in its slot instead of in its journal.

A worker keeps the line of a function that has always been quick in its slot, which costs no system call and survives
the worker. It would not survive the node. So when a task of such a function is seen running, the agent writes the line
to ``<journal>.<finaliser>.open``, a file of its own beside the journal.
"""

from __future__ import annotations

import glob
import json
from typing import Any

from prov_worker.spool.own_files import append_own, read_own
from prov_worker.spool.paths import JOURNAL_SUFFIX, NOTES_SUFFIX


def write_note(journal: str, finaliser: str, line: bytes) -> None:
    """Append a ``start`` line beside a journal.

    Raises:
        OSError: it cannot be written.
    """
    append_own(f"{journal.removesuffix(JOURNAL_SUFFIX)}.{finaliser}{NOTES_SUFFIX}", line)


def note_files(journal: str) -> list[str]:
    """Return the files of notes beside a journal."""
    return sorted(glob.glob(f"{glob.escape(journal.removesuffix(JOURNAL_SUFFIX))}.*{NOTES_SUFFIX}"))


def journal_of(notes: str) -> str:
    """Return the journal that a file of notes belongs to."""
    stem = notes.removesuffix(NOTES_SUFFIX)
    return stem[: stem.rindex(".")] + JOURNAL_SUFFIX


def read_notes(journal: str) -> list[dict[str, Any]]:
    """Return all ``start`` lines noted beside a journal; lines that are torn are left out.

    Raises:
        OSError: a file of notes cannot be read.
    """
    notes = []
    for path in note_files(journal):
        try:
            lines = read_own(path).split(b"\n")
        except FileNotFoundError:
            continue
        for line in lines:
            note = parse_note(line)
            if note is not None:
                notes.append(note)
    return notes


def parse_note(line: bytes) -> dict[str, Any] | None:
    """Return a ``start`` line as an object; None if it is none."""
    try:
        note = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(note, dict) or note.get("t") != "start":
        return None
    whole = isinstance(note.get("task"), str) and all(isinstance(note.get(key), int) for key in ("n", "ns"))
    return note if whole else None
