"""Takes snapshots of what the sampler watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prov_worker.agent.live.snapshot import RunningTask, Snapshot
from prov_worker.agent.worker_monitor import Watched
from prov_worker.attempt import AttemptId
from prov_worker.model import Energy
from prov_worker.spool.live import MAX_TASKS

#: Over so much time, at least, CPU use is a mean.
_SPAN_NS = 900_000_000


class SnapshotTaker:
    """Keeps, from one snapshot to the next, what CPU use is counted from."""

    def __init__(self) -> None:
        #: Of each attempt: earlier moments, and CPU time until then.
        self._before: dict[AttemptId, list[tuple[int, int]]] = {}

    def take(
        self,
        workers: Mapping[str, Watched],
        mono_ns: int,
        drawn: Callable[[int, int], Energy | None],
    ) -> Snapshot:
        """Return what runs.

        Args:
            workers: all that are watched, by the path of their slot.
            mono_ns: now, CLOCK_MONOTONIC.
            drawn: gives the energy of a span.
        """
        snapshot = Snapshot(mono_ns)
        before: dict[AttemptId, list[tuple[int, int]]] = {}
        for path, watched in workers.items():
            current = watched.current
            if current is None or not watched.seen & 1:
                continue
            started_ns = current.task.mono_ns
            task = RunningTask(path, current.task.attempt_id, max(0.0, (mono_ns - started_ns) / 1e9))
            if watched.counts_cpu:
                used_ns, sampled_ns = current.rows.used_ns, watched.sampled_ns
                moments = self._before.get(task.attempt) or [(started_ns, 0)]
                while len(moments) > 1 and sampled_ns - moments[1][0] >= _SPAN_NS:
                    del moments[0]
                since_ns, before_ns = moments[0]
                if sampled_ns > since_ns:
                    task.cpu_percent = 100.0 * (used_ns - before_ns) / (sampled_ns - since_ns)
                task.cpu_s = used_ns / 1e9
                before[task.attempt] = [*moments, (sampled_ns, used_ns)]
            task.rss_bytes, task.threads, task.children = current.rss_bytes, current.threads, current.children
            task.peak_rss_bytes = current.peak_rss_bytes or None
            task.energy = drawn(started_ns, mono_ns)
            snapshot.tasks.append(task)
        self._before = before
        snapshot.tasks.sort(key=lambda task: -task.elapsed_s)
        snapshot.more = max(0, len(snapshot.tasks) - MAX_TASKS)
        del snapshot.tasks[MAX_TASKS:]
        return snapshot
