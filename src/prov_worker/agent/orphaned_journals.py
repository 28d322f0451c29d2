"""Journals without a living writer: its worker, agent or node ended before the records were finished."""

from __future__ import annotations

import os

from prov_worker.agent.finaliser import Finaliser
from prov_worker.model import Failure, host_name
from prov_worker.spool.paths import JournalName, own_spools
from prov_worker.spool.slot import SlotReader

UNKNOWN = Failure(
    kind="unknown",
    message="the record of this task has no end: its worker, its node or its job ended before it could be written",
)


def adopt_orphans(finaliser: Finaliser, crate_dir: str, runtime: str) -> list[str]:
    """Finish journals of this node whose process is gone and that no slot names; gives their paths."""
    slots = slots_of(runtime)
    adopted = []
    try:
        left = journals(crate_dir, runtime)
    except OSError as error:
        finaliser.say("%s: journals that were left there cannot be listed: %s", error.filename, error.strerror)
        left = []
    for path, name in left:
        if name.host != host_name() or path in slots or name.is_alive():
            continue
        fallback = os.path.join(runtime, "spool", str(name))
        finaliser.adopt(path, UNKNOWN, fallback if fallback != path else None)
        adopted.append(path)
    for slot in slots.values():
        slot.close()
    return adopted


def journals(crate_dir: str, runtime: str | None) -> list[tuple[str, JournalName]]:
    """Journals of a spool that are not put away, and fallback journals of this node that have no first part.

    Raises:
        OSError: a directory is there and cannot be listed.
    """
    by_name: dict[str, tuple[str, JournalName]] = {}
    directories = own_spools(crate_dir) + ([os.path.join(runtime, "spool")] if runtime else [])
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue
        for text in names:
            name = JournalName.parse(text)
            if name is not None and text not in by_name:
                by_name[text] = (os.path.join(directory, text), name)
    return list(by_name.values())


def slots_of(runtime: str) -> dict[str, SlotReader]:
    """Readable slots of a runtime directory, by the journal that each names."""
    slots: dict[str, SlotReader] = {}
    for name in os.listdir(runtime):
        if name.startswith("slot.") and not name.endswith(".new"):
            try:
                slot = SlotReader(os.path.join(runtime, name))
            except Exception:  # noqa: S112 - a damaged slot names no journal
                continue
            slots[slot.journal] = slot
    return slots
