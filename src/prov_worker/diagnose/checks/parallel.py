"""Whether so many tasks really run at once, each on a worker of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.finding import Finding, failed, passed
from prov_worker.humanize import plural


def _judge(evidence: Evidence) -> Iterator[Finding]:
    answers = list(evidence.answers("placement"))
    count = len(evidence.sent("placement"))
    for reason in evidence.errors("placement"):
        yield failed("tasks at once", f"a task failed: {reason}", "look at the endpoint's log")
    if not answers:
        return
    most = max(_overlapping(evidence, answers), *(answer["most"] for _, answer in answers))
    workers = {(task.host, task.value["worker"]["pid"]) for task, _ in answers}
    nodes = Counter(host for host, _ in workers)
    places = ", ".join(f"{number} on {host}" for host, number in sorted(nodes.items()))
    spread = f"{plural(len(workers), 'worker')} on {plural(len(nodes), 'node')} ({places})"
    if most >= count:
        yield passed("tasks at once", f"{most} of {count}: {spread}")
        return
    pools = sorted({str(task.value["worker"]["count"]) for task, _ in answers})
    promise = evidence.plan.promise
    source = (
        "" if promise is None else f"; the template of {promise.site} has {plural(promise.workers, 'worker')} per node"
    )
    yield failed(
        "tasks at once",
        f"only {most} of {plural(count, 'task')} ran at once: {spread}{source}",
        f"a pool of this endpoint has {' or '.join(pools)} workers: look at max_workers_per_node (cores_per_worker, "
        "mem_per_worker), max_blocks and nodes_per_block, and at the log of each block for workers that did not start",
    )


def _overlapping(evidence: Evidence, answers: list[tuple[SentTask, dict[str, Any]]]) -> int:
    """Return how many stays overlap at some moment, by clocks as far as they are known to be off.

    Nodes whose file system is slow to show what others wrote do not see each other in time, and overlap all the same.
    """
    events = []
    for task, answer in answers:
        events.append((evidence.here_ns(task, answer["arrived_ns"]), 1))
        events.append((evidence.here_ns(task, answer["left_ns"]), -1))
    most = now = 0
    for _, change in sorted(events):
        now += change
        most = max(most, now)
    return most


CHECKS.add("parallel", Check(("placement",), _judge), rank=20)
