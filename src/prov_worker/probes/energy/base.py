"""The shape of a source of energy counters, and files of sysfs that count."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from prov_worker.probes.base import ProbeContext

#: What is counted: all that the node draws, its CPUs, or its memory.
NODE, CPU, MEMORY = "node", "cpu", "memory"


class EnergyCounter(ABC):
    """A count of joules that only grows.

    Attributes:
        subject: :data:`NODE`, :data:`CPU` or :data:`MEMORY`.
        source: what counts, for people.
    """

    def __init__(self, subject: str, source: str) -> None:
        self.subject = subject
        self.source = source

    @abstractmethod
    def read(self) -> float | None:
        """Return joules since an arbitrary moment; None if they cannot be read now. Never raises."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the counter holds; never raises."""


class EnergySource(ABC):
    """What has counters: files of a driver, or of firmware."""

    @abstractmethod
    def open(self, context: ProbeContext) -> Sequence[EnergyCounter]:
        """Return the counters, at most one per subject.

        Args:
            context: where to look.

        Raises:
            NoData: there are none here.
            ProbeError: there are, and they cannot be read.
        """


class CountingFile:
    """A file whose first word is a whole number that grows, and starts again at 0 after its range.

    Args:
        path: the file.
        limit: largest number, after which it starts again; None if it never does.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._limit = limit
        self._before: int | None = None
        self._total = 0

    def read(self) -> int | None:
        """Return how much it has grown since the first reading; None if it cannot be read now.

        A number that falls has started again: after its range if that is stated, else at 0, as after a reset. Two
        readings must be closer together than the counter takes for its range.
        """
        try:
            number = int(os.pread(self._descriptor, 64, 0).split(None, 1)[0])
        except (OSError, ValueError, IndexError):
            return None
        before, self._before = self._before, number
        if before is not None:
            started_again = number < before
            self._total += max(0, number - before + (self._limit or before if started_again else 0))
        return self._total

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class SumOfFiles(EnergyCounter):
    """The sum of files that count in one unit.

    Args:
        subject: what is counted.
        source: what counts, for people.
        files: open.
        per_joule: how many units are a joule.
    """

    def __init__(self, subject: str, source: str, files: Sequence[CountingFile], per_joule: float) -> None:
        super().__init__(subject, source)
        self._files = files
        self._per_joule = per_joule

    def read(self) -> float | None:
        """See :class:`EnergyCounter`."""
        # All of them, so that each keeps its place even if another cannot be read.
        counts = [file.read() for file in self._files]
        numbers = [count for count in counts if count is not None]
        return sum(numbers) / self._per_joule if len(numbers) == len(counts) else None

    def close(self) -> None:
        """See :class:`EnergyCounter`."""
        for file in self._files:
            file.close()
