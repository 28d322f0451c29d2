"""Journals without a living writer: its worker, agent or node ended before the records were finished."""

from __future__ import annotations

import os
from collections.abc import Sequence

from prov_worker.agent.finaliser import Finaliser
from prov_worker.errors import SpoolError
from prov_worker.model import Failure
from prov_worker.spool.paths import JournalName, own_journal, own_spools, places_here, spool_dir
from prov_worker.spool.places import why_busy
from prov_worker.spool.ring_reader import RingReader, journal_name_of, rings_of
from prov_worker.spool.slot_reader import SlotReader

UNKNOWN = Failure(
    kind="unknown",
    message="the record of this task has no end: its worker, its node or its job ended before it could be written",
)


def adopt_orphans(finaliser: Finaliser, crate_dir: str, runtime: str) -> list[str]:
    """Finish journals without a slot whose writer is gone; gives their paths.

    Those of this place whose process is gone; and of this host's other places, such as containers that were and boots
    before this one, those that were quiet for long and that nobody holds.
    """
    slots = slots_of(runtime)
    here = places_here()
    adopted = []
    try:
        left = journals(crate_dir, [runtime])
    except OSError as error:
        finaliser.say("%s: journals that were left there cannot be listed: %s", error.filename, error.strerror)
        left = []
    for path, name in left:
        if path in slots or not _is_orphan(path, name, here):
            continue
        fallback = os.path.join(runtime, "spool", str(name))
        finaliser.adopt(path, UNKNOWN, fallback if fallback != path else None)
        adopted.append(path)
    for slot in slots.values():
        slot.close()
    return adopted


def _is_orphan(path: str, name: JournalName, here: frozenset[str]) -> bool:
    lives = name.lives(here)
    if lives is not None:
        return not lives
    try:
        return name.is_of_this_host and why_busy(path) is None
    except OSError:
        return False  # `prov-worker recover` says what is wrong with it


def journals(crate_dir: str, runtimes: Sequence[str]) -> list[tuple[str, JournalName]]:
    """Return journals of a spool that are not put away, and those of this node that are in a fallback or a ring alone.

    Raises:
        OSError: a directory is there and cannot be listed.
    """
    by_name: dict[str, tuple[str, JournalName]] = {}
    directories = own_spools(crate_dir) + [os.path.join(runtime, "spool") for runtime in runtimes]
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue
        for text in names:
            name = JournalName.parse(text)
            if name is not None and text not in by_name:
                by_name[text] = (os.path.join(directory, text), name)
    for runtime in runtimes:
        for ring in rings_of(runtime):
            text = journal_name_of(ring)
            name = JournalName.parse(text)
            if name is not None and text not in by_name:
                by_name[text] = (_journal_of(ring) or os.path.join(spool_dir(crate_dir), text), name)
    return list(by_name.values())


def _journal_of(ring: str) -> str | None:
    try:
        reader = RingReader(ring)
    except (OSError, SpoolError):
        return None  # who drains it says what is wrong with it
    reader.close()
    return own_journal(reader.journal)


def slots_of(runtime: str) -> dict[str, SlotReader]:
    """Return readable slots of a runtime directory, by the journal that each names."""
    slots: dict[str, SlotReader] = {}
    for name in os.listdir(runtime):
        if name.startswith("slot.") and not name.endswith(".new"):
            try:
                slot = SlotReader(os.path.join(runtime, name))
            except Exception:  # noqa: S112 - a damaged slot names no journal
                continue
            slot.journal = own_journal(slot.journal)
            slots[slot.journal] = slot
    return slots
