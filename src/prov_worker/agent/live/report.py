"""What a live file and the socket say, made of the sampler's snapshot and of what the finaliser knows of the workers.

Called from two threads. Nothing here touches the file system of the crates.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from prov_worker import __version__, accelerators, schedulers
from prov_worker.agent.energy_share import apportion
from prov_worker.agent.node_meter import NodeMeter
from prov_worker.counters import Usage
from prov_worker.crate import vocabulary as v
from prov_worker.model import host_name
from prov_worker.spool.live import MAX_TEXT, VERSION
from prov_worker.spool.notes import parse_note
from prov_worker.spool.paths import place_of

if TYPE_CHECKING:
    from pathlib import Path

    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.live.snapshot import RunningTask, Snapshot
    from prov_worker.attempt import AttemptId
    from prov_worker.model import Failure
    from prov_worker.spool.records import Ended
    from prov_worker.spool.slot_reader import SlotReader

_CRATES = (v.CRATE_SUFFIX, v.ZIP_SUFFIX)
_GPU_READINGS = ("utilization_percent", "memory_used_bytes", "power_watts", "temperature_celsius")
#: Distance of readings of the node that a share of its CPUs is taken from, s.
_NODE_S = 0.5


class Report:
    """Says what runs on this node.

    Args:
        finaliser: knows the workers, their functions, and which crates it has written.
        runtime: the runtime directory.
    """

    def __init__(self, finaliser: Finaliser, runtime: str) -> None:
        self._finaliser = finaliser
        self._lock = threading.Lock()
        self._fixed: dict[AttemptId, tuple[dict[str, Any], dict[str, str]]] = {}
        self._node = NodeMeter(_NODE_S)
        self._node.ask(_NODE_S, None)
        self._started = time.time()
        self._head = {
            "v": VERSION,
            "host": host_name(),
            "place": place_of(runtime),
            "pid": os.getppid(),
            "started": round(self._started, 3),
            "version": __version__,
        }

    def document(self, snapshot: Snapshot | None, renew_s: float) -> dict[str, Any]:
        """Return it, as :mod:`prov_worker.spool.live` describes it.

        Args:
            snapshot: what the sampler saw last; None if there is none yet.
            renew_s: when the next one is to be expected.
        """
        now, mono_ns = time.time(), time.monotonic_ns()
        finaliser = self._finaliser
        workers = finaliser.workers()
        worker = next((follower.state.worker for follower in workers if follower.state.worker.get("proc")), {})
        facts = (worker.get("proc") or {}).get("job") or {}
        sampled = None if snapshot is None else now - (mono_ns - snapshot.mono_ns) / 1e9
        return {
            **self._head,
            "written": round(now, 3),
            "renew_s": renew_s,
            "sampled": None if sampled is None else round(sampled, 3),
            "node": {**self._node_now(mono_ns), "gpus": [] if snapshot is None else _gpus(snapshot)},
            "workers": len(workers),
            "crates": {
                "published": finaliser.published,
                "waiting": finaliser.outstanding,
                "stuck": finaliser.stuck,
            },
            "job": _text(schedulers.job_id(facts)),
            "endpoint": _text(worker.get("endpoint")),
            "endpoint_name": _text(worker.get("endpoint_name")),
            "tasks": [] if snapshot is None else self._tasks(snapshot),
            "more": 0 if snapshot is None else snapshot.more,
            "ended": [_ended(ended, crate) for ended, crate in list(finaliser.recent)],
        }

    def _node_now(self, mono_ns: int) -> dict[str, Any]:
        with self._lock:
            self._node.tick(mono_ns)
            row = self._node.history.latest()
        try:
            load = [round(value, 2) for value in os.getloadavg()]
            allowed = len(os.sched_getaffinity(0))
        except OSError:
            load, allowed = [], None
        return {
            "load": load,
            "cpu_percent": _rounded(row[0], 1) if row else None,
            "cpus": os.cpu_count(),
            "allowed_cpus": allowed,
            "memory_used_bytes": _whole(row[1]) if row else None,
            "memory_total_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        }

    def _tasks(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return what is said of each task; what does not change is kept from the last time."""
        with self._lock:
            kept = self._fixed
            fixed = {task.attempt: kept.get(task.attempt) or self._facts(task) for task in snapshot.tasks}
            self._fixed = {attempt: facts for attempt, facts in fixed.items() if facts[0]["function"] is not None}
        return [
            {
                **(facts := fixed[task.attempt])[0],
                "gpus": accelerators.held(facts[1], snapshot.gpus, snapshot.counting) or [],
                **_readings(task, facts[1]),
            }
            for task in snapshot.tasks
        ]

    def _facts(self, task: RunningTask) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what is said of a task each time, and the variables that give its worker devices."""
        slot, follower = self._finaliser.writer_of(task.slot)
        name, worker = None, {}
        if follower is not None and slot is not None:
            name, worker = follower.function_name(task.attempt, _number(slot)), follower.state.worker
        devices = worker.get("acc") or {}
        facts = {
            "task": task.attempt.task_id,
            "attempt": task.attempt.attempt,
            "function": _text(name),
            "pid": None if slot is None else slot.pid,
            "thread": None if slot is None else slot.thread,
            "rank": _text(worker.get("rank")),
            "block": _text(worker.get("block")),
            "started": round(task.attempt.start_ns / 1e9, 3),
        }
        return facts, devices


def _readings(task: RunningTask, devices: dict[str, str]) -> dict[str, Any]:
    cpu_joules = gpu_joules = node_joules = None
    if task.energy is not None:
        usage = Usage(cpu_sampled_s=task.cpu_s)
        apportion(usage, task.energy, task.elapsed_s, os.cpu_count() or 1, devices)
        cpu_joules, gpu_joules = usage.cpu_energy_joules, usage.gpu_energy_joules
        node_joules = usage.node_energy_joules
    return {
        "elapsed_s": round(task.elapsed_s, 2),
        "cpu_percent": _rounded(task.cpu_percent, 1),
        "cpu_s": _rounded(task.cpu_s, 2),
        "rss_bytes": task.rss_bytes,
        "peak_rss_bytes": task.peak_rss_bytes,
        "threads": task.threads,
        "children": task.children,
        "cpu_joules": cpu_joules,
        "gpu_joules": gpu_joules,
        "node_joules": node_joules,
    }


def _number(slot: SlotReader) -> int:
    """Return the number of the function whose start is in the slot alone; 0 if it is in the journal."""
    try:
        task = slot.read()
        line = slot.note(task) if task is not None else None
    except ValueError:
        return 0  # its worker has just died, and the slot is closed
    number = (parse_note(line) or {}).get("k", 0) if line else 0
    return number if isinstance(number, int) else 0


def _ended(ended: Ended, crate: Path) -> dict[str, Any]:
    record = ended.record
    return {
        "task": record.task_id,
        "attempt": record.attempt,
        "function": _text(record.function.name),
        "status": record.status,
        "ended": round(record.end_ns / 1e9, 3),
        "wall_s": round(record.wall_time_s, 3),
        "reason": _text(_reason(record.failure)),
        "crate": crate.name if crate.suffix in _CRATES else None,
    }


def _reason(failure: Failure | None) -> str | None:
    if failure is None or not failure.type:
        return None if failure is None else failure.message
    return f"{failure.type}: {failure.message}"


def _gpus(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {"number": number, **{name: _rounded(value, 1) for name, value in zip(_GPU_READINGS, row, strict=False)}}
        for number, row in sorted(snapshot.gpus.items())
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:MAX_TEXT]


def _whole(value: float) -> int | None:
    return int(value) if value == value else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or value != value else round(value, digits)
