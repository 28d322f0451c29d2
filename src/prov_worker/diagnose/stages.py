"""Where the time of a task goes, from the request to the crate."""

from __future__ import annotations

from typing import Any

from prov_worker.diagnose.evidence import Evidence, SentTask


def stages_of(evidence: Evidence, task: SentTask) -> dict[str, float]:
    """Return the seconds of each stage that is known, in their order.

    ``submit``: until the web service had taken it. ``queue``: until its worker's process began, if that began only
    then; else until it began itself. ``start``: from the begin of that process, with imports. ``run``: its function.
    ``back``: until its result was here. ``crate``: from its end until its crate was on disk.
    """
    if task.answer is None or not task.value:
        return {}
    began = evidence.here_ns(task, task.began_ns)
    ended = evidence.here_ns(task, task.ended_ns)
    stages: dict[str, float] = {"submit": task.accepted_ns - task.sent_ns}
    age_s = task.value["worker"]["age_s"]
    process = began if age_s is None else evidence.here_ns(task, task.value["begin_ns"]) - age_s * 1e9
    if process > task.accepted_ns:
        stages |= {"queue": process - task.accepted_ns, "start": began - process}
    else:
        stages["queue"] = began - task.accepted_ns
    stages |= {"run": ended - began, "back": task.received_ns - ended}
    seconds = {name: max(0.0, ns / 1e9) for name, ns in stages.items()}
    published_ns = crate_of(evidence, task).get("published_ns")
    if published_ns is not None:
        seconds["crate"] = max(0.0, (published_ns - task.ended_ns) / 1e9)  # both by the worker's clock
    return seconds


def crate_of(evidence: Evidence, task: SentTask) -> dict[str, Any]:
    """Return what a worker saw of a task's crate; empty if it saw none."""
    for _, answer in evidence.answers("crates"):
        crate = answer["crates"].get(task.id)
        if crate is not None:
            return dict(crate)
    return {}
