"""What is shown of tasks and nodes: columns, orders and filters, for the full screen and for a table alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.humanize import ABSENT, duration, number, percent, plural, size
from prov_worker.live.model import LIVE, EndedTask, Node, Task, View, total
from prov_worker.printable import line

#: Characters of an id that are shown: enough to name it on a command line.
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        head: its heading.
        cell: gives its text of a row.
        width: characters that it takes at most; 0 is what is left.
        right: whether it stands to the right.
        order: gives what rows are sorted by; None if they are not.
        key: that chooses this order.
        falls: whether the largest comes first.
    """

    head: str
    cell: Callable[[Any], str]
    width: int
    right: bool = False
    order: Callable[[Any], Any] | None = None
    key: str = ""
    falls: bool = True


def _absent_last(value: float | None) -> float:
    return -1.0 if value is None else value


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0f}"


def _joules(value: float | None) -> str:
    return ABSENT if value is None else f"{number(value)} J"


TASKS: tuple[Column, ...] = (
    Column("task", lambda task: line(task.task[:_SHORT]), _SHORT),
    Column("function", lambda t: line(t.function or ABSENT), 0, False, lambda t: t.function or "~", "f", falls=False),
    Column("node", lambda task: line(task.host), 16, False, lambda task: task.host, "n", falls=False),
    Column("worker", lambda task: line(task.worker), 10),
    Column("elapsed", lambda t: duration(t.elapsed_s), 12, True, lambda t: _absent_last(t.elapsed_s), "e"),
    Column("CPU %", lambda t: _percent(t.cpu_percent), 7, True, lambda t: _absent_last(t.cpu_percent), "c"),
    Column("memory", lambda task: size(task.rss_bytes), 9, True, lambda t: _absent_last(t.rss_bytes), "m"),
    Column("GPU %", lambda t: _percent(t.gpu_percent), 6, True, lambda t: _absent_last(t.gpu_percent), "g"),
    Column("GPU memory", lambda t: size(t.gpu_memory_bytes), 10, True, lambda t: _absent_last(t.gpu_memory_bytes), "v"),
    Column("GPU W", lambda t: _percent(t.gpu_power_watts), 6, True, lambda t: _absent_last(t.gpu_power_watts), "w"),
    Column("energy", lambda task: _joules(task.joules), 9, True, lambda task: _absent_last(task.joules), "j"),
)
NODES: tuple[Column, ...] = (
    Column("node", lambda node: line(node.host), 20),
    Column("agent", lambda node: agent(node), 16),
    Column("load", lambda node: f"{node.load[0]:.1f}" if node.load else ABSENT, 6, right=True),
    Column("CPU", lambda node: _cpus(node), 14, right=True),
    Column("memory", lambda node: _memory(node), 17, right=True),
    Column("busy", lambda n: f"{len(n.tasks) + n.more}/{ABSENT if n.workers is None else n.workers}", 8, right=True),
    Column("crates", lambda n: ABSENT if n.published is None else f"{n.published}+{n.waiting or 0}", 10, right=True),
    Column("GPUs", lambda node: _gpus(node), 28, right=True),
    Column("job", lambda node: line(node.job or ABSENT), 0),
)
ENDED: tuple[Column, ...] = (
    Column("ended", lambda task: line(task.task[:_SHORT]), _SHORT),
    Column("function", lambda task: line(task.function or ABSENT), 20),
    Column("node", lambda task: line(task.host), 16),
    Column("status", lambda task: line(task.status or ABSENT), 9),
    Column("wall time", lambda task: duration(task.wall_s), 12, right=True),
    Column("reason", lambda task: line(task.reason or ""), 0),
)
#: Orders of tasks, by key.
ORDERS = {column.key: column for column in TASKS if column.key}


def agent(node: Node) -> str:
    """Return how an agent is: since when it has not been heard of, if it is late."""
    return node.state if node.state == LIVE else f"{node.state} {duration(round(node.age_s))}"


def _cpus(node: Node) -> str:
    if node.cpu_percent is None:
        return ABSENT
    cpus = node.allowed_cpus or node.cpus or 1
    return f"{percent(node.cpu_percent / 100 / (node.cpus or cpus))} of {cpus}"


def _memory(node: Node) -> str:
    if node.memory_used_bytes is None:
        return ABSENT
    return f"{size(node.memory_used_bytes)}/{size(node.memory_total_bytes)}"


def _gpus(node: Node) -> str:
    """Use of all GPUs of a node: 100 % is all of them."""
    if not node.gpus:
        return ABSENT
    busy, memory, watts = (
        total(gpu.get(name) for gpu in node.gpus)
        for name in ("utilization_percent", "memory_used_bytes", "power_watts")
    )
    parts = [
        None if busy is None else f"{busy / len(node.gpus):.0f} % of {len(node.gpus)}",
        None if memory is None else size(memory),
        None if watts is None else f"{watts:.0f} W",
    ]
    return " ".join(part for part in parts if part is not None) or ABSENT


def ordered(tasks: Iterable[Task], key: str, *, reverse: bool = False) -> list[Task]:
    """Return tasks in an order, a key of :data:`ORDERS`."""
    column = ORDERS[key]
    assert column.order is not None
    return sorted(sorted(tasks, key=lambda task: task.task), key=column.order, reverse=column.falls != reverse)


def matching(tasks: Iterable[Task], text: str) -> list[Task]:
    """Return the tasks in whose id, function, node, worker or block a text is, in any case."""
    wanted = text.casefold()
    return [
        task
        for task in tasks
        if any(wanted in part.casefold() for part in (task.task, task.function or "", task.host, task.worker))
    ]


def rows(columns: Sequence[Column], items: Iterable[Node | Task | EndedTask]) -> list[list[str]]:
    """Return the cells of a table."""
    return [[column.cell(item) for column in columns] for item in items]


def summary(view: View) -> str:
    """Return one line about all nodes."""
    late = sum(node.state != LIVE for node in view.nodes)
    workers = sum(node.workers or 0 for node in view.nodes)
    running = sum(len(node.tasks) + node.more for node in view.nodes)
    waiting = sum(node.waiting or 0 for node in view.nodes)
    parts = [plural(len(view.nodes), "node"), f"{running} running", plural(workers, "worker")]
    parts += [f"{plural(waiting, 'crate')} to write"] if waiting else []
    parts += [f"{late} without a sign"] if late else []
    return " · ".join(parts)


def details(task: Task, node: Node | None) -> list[tuple[str, str]]:
    """Return all that is known of a task: names and values."""
    pairs: list[tuple[str, str | None]] = [
        ("task", task.task),
        ("attempt", str(task.attempt)),
        ("function", task.function),
        ("node", task.host),
        ("agent", None if node is None else agent(node)),
        ("batch job", None if node is None else node.job),
        ("endpoint", None if node is None else node.endpoint_name or node.endpoint),
        ("worker", f"process {task.pid}" + (f", thread {task.thread}" if task.thread else "")),
        ("rank, block", None if task.rank is None else f"{task.rank}, {task.block or ABSENT}"),
        ("elapsed", duration(task.elapsed_s)),
        ("CPU now", None if task.cpu_percent is None else f"{task.cpu_percent:.0f} %"),
        ("CPU time", None if task.cpu_s is None else duration(task.cpu_s)),
        ("memory", size(task.rss_bytes)),
        ("largest", size(task.peak_rss_bytes)),
        ("threads", None if task.threads is None else str(task.threads)),
        ("children", None if task.children is None else str(task.children)),
        ("GPUs", ", ".join(map(str, task.gpus)) or None),
        ("GPU use", None if task.gpu_percent is None else f"{task.gpu_percent:.0f} %"),
        ("GPU memory", None if task.gpu_memory_bytes is None else size(task.gpu_memory_bytes)),
        ("GPU power", None if task.gpu_power_watts is None else f"{task.gpu_power_watts:.0f} W"),
        ("CPU energy", None if task.cpu_joules is None else f"{_joules(task.cpu_joules)}, its share of the CPUs'"),
        ("GPU energy", None if task.gpu_joules is None else _joules(task.gpu_joules)),
        ("node energy", None if task.node_joules is None else f"{_joules(task.node_joules)}, whoever used it"),
    ]
    return [(name, line(value)) for name, value in pairs if value is not None]


def with_values(cells: Sequence[Sequence[str]]) -> list[int]:
    """Return the places of columns that say something in some row; the first two always do."""
    count = max(map(len, cells), default=0)
    return [place for place in range(count) if place < 2 or any(row[place] not in (ABSENT, "") for row in cells)]
