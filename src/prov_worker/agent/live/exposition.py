"""What runs, for Prometheus: a file that node_exporter's textfile collector reads.

Text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats), written with the standard library: the
agent runs in the workers' environment. No label holds a task, a function or a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prov_worker.agent.live.tally import Tally
from prov_worker.files import atomic_write
from prov_worker.model import COMPLETED, FAILED, host_name

_PREFIX = "prov_worker_node"
#: Type and help of each metric.
METRICS = {
    "tasks_running": ("gauge", "Tasks that run on this node."),
    "workers": ("gauge", "Workers, by state."),
    "tasks_cpus": ("gauge", "CPUs that running tasks keep busy, as of the last second or so."),
    "tasks_memory_bytes": ("gauge", "Resident memory of the workers whose tasks run, and of their descendants."),
    "longest_task_seconds": ("gauge", "How long the task has run that has run longest."),
    "tasks_total": ("counter", "Tasks that have a crate, by result."),
    "task_seconds_total": ("counter", "Seconds that tasks with a crate took."),
    "task_cpu_seconds_total": ("counter", "CPU seconds that tasks with a crate used."),
    "task_energy_joules_total": ("counter", "Energy of tasks with a crate, as far as it is counted, by device."),
    "crates_waiting": ("gauge", "Crates that are to be written."),
    "crates_refused": ("gauge", "Crates that the disk did not take when it was tried last."),
    "last_look_timestamp_seconds": ("gauge", "When the agent looked last."),
}


def exposition_path(directory: str, runtime: str) -> Path:
    """Return the file of an agent: there may be several on a node, of other users and of other crate directories."""
    return Path(directory, f"{_PREFIX}_{host_name()}_{os.geteuid()}_{os.path.basename(runtime)}.prom")


def write_exposition(path: Path, text: str) -> None:
    """Replace the file; others may read it, since the exporter is another user.

    Raises:
        InputError: it cannot be written; it is as it was.
    """
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o644)  # whatever the umask is


def render(document: Mapping[str, Any], tally: Tally, crate_dir: str) -> str:
    """Return the text of the file.

    Args:
        document: what the live file says.
        tally: of the agent.
        crate_dir: a label of each metric, as is the user.
    """
    labels = {"crate_dir": crate_dir, "user": str(os.geteuid())}
    lines = []
    for metric, (kind, text) in METRICS.items():
        lines += [f"# HELP {_PREFIX}_{metric} {text}", f"# TYPE {_PREFIX}_{metric} {kind}"]
        for more, value in _values(metric, document, tally):
            pairs = ",".join(f'{name}="{_escaped(label)}"' for name, label in {**labels, **more}.items())
            lines.append(f"{_PREFIX}_{metric}{{{pairs}}} {value}")
    return "\n".join(lines) + "\n"


def _values(metric: str, document: Mapping[str, Any], tally: Tally) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels beside those that all have, and the value of each sample."""
    tasks, crates = document["tasks"], document["crates"]
    running = len(tasks) + document["more"]
    if metric == "workers":
        yield {"state": "busy"}, running
        yield {"state": "idle"}, max(0, document["workers"] - running)
    elif metric == "tasks_total":
        for status in (COMPLETED, FAILED):
            yield {"result": status}, tally.tasks[status]
    elif metric == "task_energy_joules_total":
        for device, joules in (("cpu", tally.cpu_joules), ("gpu", tally.gpu_joules)):
            yield {"device": device}, round(joules, 3)
    else:
        yield (
            {},
            {
                "tasks_running": running,
                "tasks_cpus": round(sum(task["cpu_percent"] or 0.0 for task in tasks) / 100, 3),
                "tasks_memory_bytes": sum(task["rss_bytes"] or 0 for task in tasks),
                "longest_task_seconds": max((task["elapsed_s"] for task in tasks), default=0.0),
                "task_seconds_total": round(tally.wall_s, 3),
                "task_cpu_seconds_total": round(tally.cpu_s, 3),
                "crates_waiting": crates["waiting"],
                "crates_refused": crates["stuck"],
                "last_look_timestamp_seconds": document["written"],
            }[metric],
        )


def _escaped(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
