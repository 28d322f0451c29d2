"""Exports of a run: one module per target, which registers the formats that it writes.

A module of this package names each of its formats with :func:`exporter`; ``prov-worker run export`` offers what is in
:data:`EXPORTERS`. Nothing else lists formats. A module imports the library of its target inside its functions, so that
the list of formats needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prov_worker.registry import Registry

if TYPE_CHECKING:
    from prov_worker.crate.summary import RunStep
    from prov_worker.run.api import RunRecord

#: Called with a number of steps that have been read since the last call.
Advance = Callable[[int], None]


class Write(Protocol):
    """Write a run to a file, or leave the file as it is."""

    def __call__(
        self, run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
    ) -> int:
        """Write the run to a temporary file, then rename it to ``target``.

        Args:
            run: the run; steps that cannot be read are added to ``run.problems``.
            target: the file.
            tasks: ids of the tasks to write; None takes all.
            advance: called as steps are read.

        Returns:
            Number of records or samples that were written.

        Raises:
            InputError: the library of the format is missing, no task of ``tasks`` is there, or the file cannot be
                written.
            CrateError: the metadata of a run crate cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format that a run can be written in.

    Attributes:
        format: name on the command line.
        suffix: of the file that is written if none is named, without the leading dot.
        counts: what the number that ``write`` returns counts, in the plural.
        summary: one line for ``--help``.
        write: writes the file.
        raw: whether ``write`` takes ``raw``: text as it is, for programs; else it is quoted for spreadsheets.
    """

    format: str
    suffix: str
    counts: str
    summary: str
    write: Write
    raw: bool = False


#: Exporters by format.
EXPORTERS: Registry[Exporter] = Registry("prov_worker.run.export")


def exporter(
    format: str,  # noqa: A002
    *,
    suffix: str,
    counts: str,
    summary: str,
    raw: bool = False,
) -> Callable[[Write], Write]:
    """Return a decorator that registers a function as the writer of a format."""

    def register(write: Write) -> Write:
        EXPORTERS.add(format, Exporter(format, suffix, counts, summary, write, raw))
        return write

    return register


def chosen_steps(run: RunRecord, tasks: set[str] | None, advance: Advance | None) -> Iterator[RunStep]:
    """Yield the steps of the chosen tasks, one at a time; report each to ``advance`` after it was used.

    Raises:
        InputError: there is no such step; raised at the end, when nothing was yielded.
    """
    count = 0
    for step in run.steps():
        if tasks is not None and step.task_id not in tasks:
            continue
        count += 1
        yield step
        if advance is not None:
            advance(1)
    if not count:
        raise run.nothing(chosen=tasks is not None)
