"""What agents say of their nodes, read with care: their files may be damaged, and of another release."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Agents: one that answers, or renews its file; one that is late with it; one that is known to be gone.
LIVE, LATE, DEAD = "live", "late", "dead"
_LATE_S, _LATE_TIMES = 5.0, 3.0
_MOST = 1e18


@dataclass(frozen=True, slots=True)
class Task:
    """A running task; fields are those of :mod:`prov_worker.spool.live`, ``host`` is its node."""

    host: str
    task: str
    attempt: int = 1
    function: str | None = None
    pid: int | None = None
    thread: int | None = None
    rank: str | None = None
    block: str | None = None
    started: float | None = None
    elapsed_s: float | None = None
    cpu_s: float | None = None
    cpu_percent: float | None = None
    children: int | None = None
    threads: int | None = None
    peak_rss_bytes: int | None = None
    rss_bytes: int | None = None
    gpus: tuple[int, ...] = ()
    gpu_percent: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_power_watts: float | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    node_joules: float | None = None

    @property
    def joules(self) -> float | None:
        """What is the task's own: of CPUs and GPUs, as far as it is measured."""
        return total((self.cpu_joules, self.gpu_joules))

    @property
    def worker(self) -> str:
        """Its worker as people name it: rank in the block, or process id."""
        if self.rank is not None:
            return f"{self.block}/{self.rank}" if self.block is not None else self.rank
        return "–" if self.pid is None else str(self.pid)


@dataclass(frozen=True, slots=True)
class EndedTask:
    """A task that has its crate."""

    host: str
    task: str
    attempt: int = 1
    function: str | None = None
    status: str | None = None
    ended: float | None = None
    wall_s: float | None = None
    reason: str | None = None
    crate: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """An agent and its node.

    Attributes:
        state: :data:`LIVE`, :data:`LATE` or :data:`DEAD`.
        age_s: since the agent has said it.
        by: ``socket`` or ``file``.
        tasks: what runs, or ran then.
        more: running tasks that are not listed.
        ended: what has ended last.
    """

    host: str
    place: str
    state: str
    age_s: float
    by: str
    pid: int | None = None
    started: float | None = None
    version: str | None = None
    load: tuple[float, ...] = ()
    cpu_percent: float | None = None
    cpus: int | None = None
    allowed_cpus: int | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    gpus: tuple[dict[str, float | None], ...] = ()
    workers: int | None = None
    published: int | None = None
    waiting: int | None = None
    stuck: int | None = None
    job: str | None = None
    endpoint: str | None = None
    endpoint_name: str | None = None
    tasks: tuple[Task, ...] = ()
    more: int = 0
    ended: tuple[EndedTask, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What runs in a crate directory.

    Attributes:
        nodes: by host.
        problems: what could not be read, a line each.
        time: when it was looked, s since the epoch.
    """

    nodes: tuple[Node, ...] = ()
    problems: tuple[str, ...] = ()
    time: float = 0.0

    @property
    def tasks(self) -> list[Task]:
        """Return the tasks of all nodes."""
        return [task for node in self.nodes for task in node.tasks]

    @property
    def ended(self) -> list[EndedTask]:
        """Return what has ended last on all nodes, the latest first."""
        return sorted((task for node in self.nodes for task in node.ended), key=lambda task: -(task.ended or 0))

    def to_json(self) -> dict[str, Any]:
        """Return it for another program."""
        return {
            "time": self.time,
            "nodes": [dataclasses.asdict(node) for node in self.nodes],
            "problems": list(self.problems),
        }


def node_of(document: Mapping[str, Any], now: float, *, by: str, state: str | None = None) -> Node:
    """Return what an agent has said.

    Args:
        document: of :func:`prov_worker.spool.live.parse_live`. What is not of its type is unknown.
        now: s since the epoch.
        by: ``socket`` or ``file``.
        state: if it is known; else it follows from the time.
    """
    written, renew_s = _number(document.get("written")) or 0.0, _number(document.get("renew_s")) or 0.0
    age_s = max(0.0, now - written)
    if by == "socket":
        # The half of the agent that answers may be well while the other is not.
        written = min(written, _number(document.get("sampled")) or written)
        age_s = max(0.0, now - written)
    if state is None:
        state = LATE if age_s > _LATE_S + _LATE_TIMES * min(renew_s, 60.0) else LIVE
    node, crates = _mapping(document.get("node")), _mapping(document.get("crates"))
    host = _text(document.get("host")) or "?"
    gpus = tuple(
        {str(key): _number(value) for key, value in gpu.items()} for gpu in _list(node.get("gpus")) if _mapping(gpu)
    )
    return Node(
        host,
        _text(document.get("place")) or "",
        state,
        age_s,
        by,
        pid=_whole(document.get("pid")),
        started=_number(document.get("started")),
        version=_text(document.get("version")),
        load=tuple(number for number in map(_number, _list(node.get("load"))) if number is not None),
        cpu_percent=_number(node.get("cpu_percent")),
        cpus=_whole(node.get("cpus")),
        allowed_cpus=_whole(node.get("allowed_cpus")),
        memory_used_bytes=_whole(node.get("memory_used_bytes")),
        memory_total_bytes=_whole(node.get("memory_total_bytes")),
        gpus=gpus,
        workers=_whole(document.get("workers")),
        published=_whole(crates.get("published")),
        waiting=_whole(crates.get("waiting")),
        stuck=_whole(crates.get("stuck")),
        job=_text(document.get("job")),
        endpoint=_text(document.get("endpoint")),
        endpoint_name=_text(document.get("endpoint_name")),
        tasks=tuple(_task(host, entry, gpus) for entry in _list(document.get("tasks")) if _is_task(entry)),
        more=_whole(document.get("more")) or 0,
        ended=tuple(_ended(host, entry) for entry in _list(document.get("ended")) if _is_task(entry)),
    )


def _is_task(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("task"), str)


def _task(host: str, entry: Mapping[str, Any], readings: Sequence[Mapping[str, float | None]]) -> Task:
    gpus = tuple(number for number in map(_whole, _list(entry.get("gpus"))) if number is not None)
    own = [reading for reading in readings if reading.get("number") in gpus]
    percent, memory, watts = (
        total([reading.get(name) for reading in own])
        for name in ("utilization_percent", "memory_used_bytes", "power_watts")
    )
    values = _values(entry, _TEXTS + _WHOLE + _NUMBERS) | {
        "gpu_percent": percent, "gpu_memory_bytes": _whole(memory), "gpu_power_watts": watts,
    }  # fmt: skip
    return Task(host, entry["task"], gpus=gpus, **values)


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of those values that are known; None if none is."""
    parts = [value for value in values if value is not None]
    return sum(parts) if parts else None


def _ended(host: str, entry: Mapping[str, Any]) -> EndedTask:
    return EndedTask(
        host, entry["task"], **_values(entry, ("function", "status", "reason", "crate", "ended", "wall_s"))
    )


_TEXTS = ("function", "rank", "block")
_WHOLE = ("pid", "thread", "rss_bytes", "peak_rss_bytes", "threads", "children")
_NUMBERS = ("started", "elapsed_s", "cpu_percent", "cpu_s", "cpu_joules", "gpu_joules", "node_joules")


def _values(entry: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return fields of a task by name: those of :data:`_WHOLE` whole numbers, those with a unit or a time numbers."""
    values: dict[str, Any] = {"attempt": _whole(entry.get("attempt")) or 1}
    for name in names:
        convert = _whole if name in _WHOLE else _number if name in (*_NUMBERS, "ended", "wall_s") else _text
        values[name] = convert(entry.get(name))
    return values


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST
    return float(value) if good else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
