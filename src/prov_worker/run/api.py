"""Open a run, and ask it: a run crate, a zip of one, or a plain directory of step crates.

::

    import prov_worker

    run = prov_worker.open_run("RUN.crate")
    for step in run.steps():            # streaming, one crate in memory at a time
        print(step.function, step.wall_s)
    run.tasks()                         # pandas DataFrame, one row per attempt
    run.series(step)                    # prov_worker.model.TaskSeries
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_DATA_BYTES
from prov_worker.crate.graph import hardware_of, series_of
from prov_worker.crate.large import property_of
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import Source, find_sources, is_run, is_there, read, sources_at
from prov_worker.crate.summary import RunStep
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, InputError, blaming
from prov_worker.model import TaskSeries
from prov_worker.run.model import Link, Problem
from prov_worker.run.selection import Selection

if TYPE_CHECKING:
    import pandas as pd

    from prov_worker.crate.pictures import Picture


def open_run(path: Path | str, selection: Selection | None = None) -> RunRecord:
    """Open a run crate, or a directory of step crates (``<task_id>.crate/``, ``<task_id>/`` or zips).

    Args:
        path: where it is.
        selection: which attempts are meant; None is all.

    Raises:
        InputError: there is no such path.
    """
    return RunRecord(Path(path), selection)


class RunRecord:
    """A run, read from its step crates.

    Args:
        path: run crate, directory of step crates, one step crate, or a zip of any of them.
        selection: which attempts are meant; None is all.

    Attributes:
        path, selection: the same.
        is_run_crate: whether it was assembled.
        name: of the run crate as its root says; else of the directory.
        problems: crates that the last walk over :meth:`steps` could not read; the others were given.

    Raises:
        InputError: there is no such path.
    """

    def __init__(self, path: Path, selection: Selection | None = None) -> None:
        if not is_there(path):
            raise InputError(f"{path}: no such run or directory")
        self.path = path
        self.selection = None if selection is None or selection.is_all else selection
        self.is_run_crate = is_run(path)
        self.problems: list[Problem] = []
        self._last: Source | None = None
        self._is_empty = True
        self._name: str | None = None

    @property
    def name(self) -> str:
        """Name of the run."""
        if self._name is None:
            # The document may have gigabytes.
            name = property_of(self.path / v.METADATA_FILE, "./", "name") if self.is_run_crate else None
            self._name = name if isinstance(name, str) and name else self.path.absolute().name
        return self._name

    def sources(self) -> Iterator[Source]:
        """Yield the step crates, sorted by name; unread, unless attempts were selected."""
        for source in self._all_sources():
            if self.selection is None:
                yield source
                continue
            try:
                taken = self.selection.takes(open_step(source)[0])
            except CrateError as error:
                self.problems.append(Problem.of(source.where, error))
                continue
            if taken:
                yield source

    def _all_sources(self) -> Iterator[Source]:
        self.problems, self._is_empty = [], True
        for source in find_sources(self.path, lambda where, error: self.problems.append(Problem.of(where, error))):
            self._is_empty = False
            yield source

    def nothing(self, *, chosen: bool = False) -> InputError:
        """Return the error of a walk over :meth:`steps` that gave none: there are none, or none that was chosen.

        Args:
            chosen: the caller chose among them too, beside :attr:`selection`.
        """
        named = [problem.message if problem.where == str(self.path) else str(problem) for problem in self.problems[:1]]
        if self._is_empty:
            return InputError(f"{self.path}: {named[0] if named else 'no step crate'}")
        problem = "no attempt matches" if chosen or self.selection is not None else "no step crate that can be read"
        return InputError(f"{self.path}: {'; '.join((problem, *named))}")

    def opened(self) -> Iterator[tuple[RunStep, StepCrate]]:
        """Yield :meth:`steps`, each with its crate, for those who need what the summary leaves out."""
        seen: set[bytes] = set()
        for source in self._all_sources():
            try:
                step, crate = open_step(source)
            except CrateError as error:
                self.problems.append(Problem.of(source.where, error))
                continue
            if self.selection is not None and not self.selection.takes(step):
                continue
            digest = bytes.fromhex(step.metadata_sha256 or "")
            if digest not in seen:
                seen.add(digest)
                self._last = source
                yield step, crate
        self._last = None

    @contextmanager
    def sparing(self, step: RunStep) -> Iterator[None]:
        """Work on one step in the block; what its content provokes is added to :attr:`problems`, and nothing ends."""
        try:
            with blaming(step.crate):
                yield
        except CrateError as error:
            self.problems.append(Problem.of(step.crate, error))

    def steps(self) -> Iterator[RunStep]:
        """Yield all attempts at all tasks, sorted by key, one at a time; what cannot be read is in :attr:`problems`.

        A crate that lies there more than once, such as a zip beside its directory, is given once.
        """
        for step, _ in self.opened():
            yield step

    def links(self) -> Iterator[Link]:
        """Yield what flowed from step to step: as the assembler found it, else found now.

        If the assembler's list is damaged, it ends there, and that is one of :attr:`problems`.
        """
        path = self.path / v.LINKS_FILE
        if self.is_run_crate and path.is_file():
            from prov_worker.run.assembly.links import read_links

            try:
                yield from read_links(path)
            except CrateError as error:
                problem = Problem.of(str(path), error)
                self.problems += [problem] if problem not in self.problems else []
            return
        from prov_worker.run.assembly.links import LinkFinder
        from prov_worker.run.assembly.staging import StagingDb

        with closing(StagingDb()) as staging:
            finder = LinkFinder(staging)
            for step in self.steps():
                with self.sparing(step):
                    finder.add(staging.add(step), step)
            yield from finder.links()

    def source(self, step: RunStep) -> Source:
        """Return where the crate of a step is.

        Raises:
            CrateError: it is there no more.
        """
        if self._last is not None and self._last.where == step.crate:
            return self._last  # a zip of many is opened once for all of them
        return next(sources_at(Path(step.crate)))

    def read(self, step: RunStep, relative: str, limit: int = MAX_DATA_BYTES) -> bytes:
        """Return a file of a step crate.

        Raises:
            CrateError: missing, unreadable or larger than ``limit`` bytes.
        """
        return read(self.source(step), relative, limit)

    def hardware(self, step: RunStep) -> dict[str, Any]:
        """Return content of the step's ``data/hardware.json``.

        Raises:
            CrateError: missing, no JSON object, or its probes have another shape.
        """
        return hardware_of(self.source(step))

    def series(self, step: RunStep) -> TaskSeries:
        """Return the series of a step; empty if nothing was sampled.

        Raises:
            CrateError: the file is listed and missing, or has another shape.
        """
        return series_of(self.source(step)) if step.has_series else TaskSeries()

    def tasks(self) -> pd.DataFrame:
        """Return one row per attempt: the columns of :data:`prov_worker.run.index.tables.TASKS`. Needs pandas."""
        return self._frame("tasks")

    def arguments(self) -> pd.DataFrame:
        """Return one row per argument or result. Needs pandas."""
        return self._frame("arguments")

    def files(self) -> pd.DataFrame:
        """Return one row per file that a step used or generated. Needs pandas."""
        return self._frame("files")

    def failures(self) -> pd.DataFrame:
        """Return :meth:`tasks`, the failed attempts alone. Needs pandas."""
        tasks = self.tasks()
        return tasks[tasks["status"] == "failed"].reset_index(drop=True)

    def series_frame(self, step: RunStep) -> pd.DataFrame:
        """Return the samples of a step, one row per sample of a quantity. Needs pandas.

        The columns are those of ``run export --format csv``: :data:`prov_worker.run.index.tables.SAMPLES`.

        Raises:
            CrateError: the file is listed and missing, or has another shape.
        """
        from prov_worker.run.index.tables import sample_frame

        return sample_frame(step, self.series(step))

    def plot(self) -> Picture:
        """Return a picture of the attempts over time, a line for each worker, which notebooks show."""
        from prov_worker.run.report.timeline_svg import timeline

        return timeline(self.steps())

    def curves(self) -> Picture:
        """Return a picture of the metrics that trackers know of the run's tasks: a line for each tracked run.

        Lines are called by the hyperparameters in which the tasks differ. What cannot be read is in :attr:`problems`.
        """
        from prov_worker.crate.pictures import metric_curves
        from prov_worker.training import Training

        trainings: dict[str, tuple[dict[str, str], Training]] = {}
        for step, crate in self.opened():
            if step.training_runs:
                with self.sparing(step):
                    trainings[step.key] = (step.hyperparameters, crate.training())
        differing = {
            name
            for parameters, _ in trainings.values()
            for name, value in parameters.items()
            if any(other.get(name) != value for other, _ in trainings.values())
        }
        names: dict[str, Training] = {}
        for key, (parameters, training) in trainings.items():
            name = ", ".join(f"{name} = {value}" for name, value in parameters.items() if name in differing)
            names[f"{name} ({key[:8]})" if not name or name in names else name] = training
        return metric_curves(names)

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it; of a run of more than 1,000 attempts, the first 1,000."""
        from prov_worker.run.report.notebook import run_html

        return run_html(self)

    def _frame(self, table: str) -> pd.DataFrame:
        from prov_worker.run.index.tables import frame

        return frame(table, self._rows(table))

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        from prov_worker.run.index.tables import rows

        for step in self.steps():
            content: list[dict[str, Any]] = []
            with self.sparing(step):
                content = list(rows(table, step))
            yield from content
