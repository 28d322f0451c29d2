"""Crates that wait for their plots, which another process draws: not for long, and not too many."""

from __future__ import annotations

import time

from prov_worker.agent.crate_job import CrateJob
from prov_worker.agent.plotter import Plotter
from prov_worker.agent.publisher import Publisher
from prov_worker.crate.plot_caption import caption_of
from prov_worker.crate.writer import Plot

#: How long a crate waits for its plot before it is published without.
PLOT_PATIENCE_S = 5.0
#: Work that may wait for the plotter: more, and a crate is published without a plot at once.
PLOT_QUEUE_S = 0.7
_MAX_PLOTS_WAITING = 64


class PlotQueue:
    """Asks the plotter, and gives crates back with their plots, or with a note of why they have none.

    Args:
        publisher: says which crates want a plot.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._plotter = Plotter()
        self._waiting: dict[int, CrateJob] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def jobs(self) -> list[CrateJob]:
        """Return the crates that wait."""
        return list(self._waiting.values())

    def start(self) -> None:
        """Have the plotter ready by the time that a crate asks for it."""
        self._plotter.start()

    def fileno(self) -> int:
        """Return the descriptor of the plotter's answers, -1 without one."""
        return self._plotter.fileno()

    def rest(self) -> None:
        """See to it that a plotter without work ends."""
        self._plotter.rest()

    def close(self) -> None:
        """End the plotter."""
        self._plotter.close()

    def ask(self, job: CrateJob) -> bool:
        """Ask for a plot if one belongs into the crate; false if the crate need not wait."""
        settings = self._publisher.settings(job.ended.settings)
        if settings.plots != "png" or not self._publisher.wants_plot(job.ended, job.series):
            return False
        if self._plotter.broken:
            job.ended.record.plot_absent = _no_plot(self._plotter.broken)
            return False
        queue_s = len(self._waiting) * self._plotter.pace_s if settings.write == "background" else 0.0
        if len(self._waiting) >= _MAX_PLOTS_WAITING or queue_s > PLOT_QUEUE_S:
            job.ended.record.plot_absent = _no_plot("more were asked for than could be drawn in time")
            return False
        assert job.series is not None
        number = self._plotter.request(job.series, caption_of(job.ended.record))
        if number is None:
            job.ended.record.plot_absent = _no_plot(self._plotter.broken or "the plotter has died")
            return False
        job.plot_until = time.monotonic() + self._patience_s(job)
        self._waiting[number] = job
        return True

    def drawn(self) -> list[CrateJob]:
        """Return crates of which the plotter has answered."""
        jobs = []
        for answer in self._plotter.answers():
            job = self._waiting.pop(answer.number, None)
            if job is None:
                continue
            if answer.data is None:
                job.ended.record.plot_absent = _no_plot(answer.error or "no reason was given")
            else:
                job.plot = Plot("cpu_usage.png", answer.data)
            jobs.append(job)
        return jobs

    def overdue(self, now: float) -> list[CrateJob]:
        """Return crates that have waited for long enough (``time.monotonic``)."""
        jobs = []
        for number, job in list(self._waiting.items()):
            if job.plot_until <= now:
                del self._waiting[number]
                job.ended.record.plot_absent = _no_plot(f"it was not drawn within {self._patience_s(job):g} s")
                jobs.append(job)
        return jobs

    def _patience_s(self, job: CrateJob) -> float:
        background = self._publisher.settings(job.ended.settings).write == "background"
        return PLOT_PATIENCE_S if background else 6 * PLOT_PATIENCE_S


def _no_plot(reason: str) -> str:
    return f"No plot was drawn: {reason}. `prov-worker plot CRATE` draws one."
