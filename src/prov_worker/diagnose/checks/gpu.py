"""Whether each worker computes on an accelerator, by torch of any maker."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.diagnose.plan import Promise
from prov_worker.finding import Finding, failed, passed, skipped, warned
from prov_worker.humanize import duration, plural

_SLOW = 3.0
_INSTALL = "let worker_init reach an environment with the site's torch, or leave this check out"


def _judge(evidence: Evidence) -> Iterator[Finding]:
    promise = evidence.plan.promise
    promised = promise if promise is not None and promise.accelerators else None
    for reason in evidence.errors("gpu"):
        yield failed("GPU", f"torch fails on a worker: {reason}", "run the same import there by hand; load its modules")
    answers = list(evidence.answers("gpu"))
    working = [(task, answer) for task, answer in answers if answer["kind"] is not None]
    lines: dict[Finding, None] = {}
    for task, answer in answers:
        if answer["kind"] is None:
            lines[_without(task, answer, promised)] = None
        elif not answer["right"]:
            lines[failed("GPU", f"{_name(task)}: {answer['name']} multiplies wrongly", "have this device checked")] = (
                None
            )
    yield from lines
    if not working:
        return
    names = sorted({f"{answer['name']} ({answer['kind']}, torch {answer['torch']})" for _, answer in working})
    middle = median(answer["seconds"] for _, answer in working)
    yield passed(
        "GPU",
        f"{plural(len(working), 'worker')} on {', '.join(names)}: a product of 1024 x 1024 takes {duration(middle)}",
    )
    for task, answer in working:
        if answer["seconds"] > _SLOW * middle:
            yield warned(
                "GPU",
                f"{_name(task)} takes {answer['seconds'] / middle:.0f} times as long: {duration(answer['seconds'])}",
                "another process may use this device",
            )
        if promised is not None and answer["count"] != 1:
            yield warned("GPU", f"{_name(task)} sees {answer['count']} accelerators, not 1", "look at its mask")


def _without(task: SentTask, answer: dict[str, Any], promised: Promise | None) -> Finding:
    python = task.value["worker"]["executable"]
    if answer["torch"] is None:
        if promised is not None and not answer["devices"]:
            return failed(
                "GPU",
                f"no GPU on {task.host}: it has no device in /dev; the template of {promised.site} promises "
                f"{len(promised.accelerators)} per node",
                "ask the scheduler for nodes with GPUs, and give a container its devices",
            )
        return skipped("GPU", f"torch is not installed for {python} on {task.host}", _INSTALL)
    if promised is not None:
        return failed(
            "GPU",
            f"torch {answer['torch']} sees no GPU at {_name(task)}; the template of {promised.site} promises "
            f"{len(promised.accelerators)} per node",
            "ask for nodes with GPUs, install torch for their maker, and give a container its devices",
        )
    if answer["devices"]:
        return warned(
            "GPU",
            f"torch {answer['torch']} sees no GPU at {_name(task)}, though the host has {answer['devices'][0]}",
            "install torch for the maker of these GPUs; look at the worker's masks",
        )
    return skipped("GPU", f"no accelerator on {task.host}: CPU; torch {answer['torch']}")


def _name(task: SentTask) -> str:
    rank = task.value["worker"]["rank"]
    return f"worker {rank} of {task.host}" if rank is not None else f"a worker of {task.host}"


CHECKS.add("gpu", Check(("gpu", "placement"), _judge), rank=40)
