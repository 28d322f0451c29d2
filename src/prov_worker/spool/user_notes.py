"""What user code noted of an attempt, in the lines ``notes`` of a journal and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.humanize import plural
from prov_worker.model import OutputFile, TaskRecord
from prov_worker.spool.epochs import Epochs


class UserNotes:
    """What an attempt noted while it ran."""

    __slots__ = ("_epochs", "_fields")

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {"a": {}, "u": [], "g": []}
        self._epochs = Epochs()

    def add(self, line: Mapping[str, Any]) -> None:
        """Take a line ``notes``."""
        self._fields["a"].update(line.get("a", {}))
        self._fields["u"] += line.get("u", ())
        self._fields["g"] += line.get("g", ())
        if "ns" in line:
            self._epochs.add(line.get("a", {}), line["ns"])

    def describe(self, record: TaskRecord, run: str | None) -> None:
        """Put it into the record of an attempt that has no end of its own."""
        take_notes(record, self._fields, run)
        self.draw(record)

    def draw(self, record: TaskRecord) -> None:
        """Put the values that were noted with their epochs into a record, as curves."""
        record.training = self._epochs.training(record.task_id)


def take_notes(record: TaskRecord, notes: Mapping[str, Any] | None, run: str | None) -> None:
    """Put what client and user code noted into a record; files get their size and hash from whoever writes the crate.

    Args:
        record: of the attempt.
        notes: ``a`` (annotations), ``u`` and ``g`` (files), ``d`` (how many were dropped); None if there is none.
        run: that the task is of, as its client says.
    """
    if run:
        record.annotations = {"run": run}
    if not notes:
        return
    record.annotations |= {str(key): value for key, value in notes.get("a", {}).items()}
    record.used = [OutputFile(path, -1) for path in notes.get("u", ())]
    record.generated = [OutputFile(path, -1) for path in notes.get("g", ())]
    if notes.get("d"):
        dropped = plural(notes["d"], "annotation was", "annotations were")
        record.notes.append(f"{dropped} too many or too long, and left out.")
