"""Whether provenance arrives: the crates of the tasks before, looked for on a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.diagnose.stages import stages_of
from prov_worker.finding import Finding, failed, passed, skipped
from prov_worker.humanize import duration, plural, size


def _judge(evidence: Evidence) -> Iterator[Finding]:
    for reason in evidence.errors("crates"):
        yield failed("crates", f"the look for crates failed on its worker: {reason}", "look at the endpoint's log")
    if not evidence.sent("crates"):
        yield skipped("crates", "the time limit came before")
    for task, answer in evidence.answers("crates"):
        python = f"{task.value['worker']['executable']} on {task.host}"
        if answer["installed"] is None:
            yield failed(
                "crates",
                f"package missing: prov_worker is not installed for {python}; tasks run and leave no crates",
                "pip install 'prov-worker[plot]' there, or let worker_init reach the environment that has it",
            )
        elif answer["directory"] is None:
            yield failed(
                "crates",
                f"tasks are not recorded, though prov_worker {answer['installed']} is installed for {python}",
                "take engine ProvenanceEngine in the endpoint's template, or export PROV_WORKER=1 in worker_init",
            )
        else:
            yield from _arrived(evidence, task, answer)


def _arrived(evidence: Evidence, looker: SentTask, answer: dict[str, Any]) -> Iterator[Finding]:
    directory, space = answer["directory"], answer["space"]
    tasks = [task for task in evidence.tasks if task is not looker and task.answer is not None]
    missing = [task for task in tasks if task.id not in answer["crates"]]
    if space.get("error"):
        free = "" if "free_bytes" not in space else f", {size(space['free_bytes'])} free"
        inodes = "" if space.get("free_inodes") is None else f" and {space['free_inodes']:,} inodes"
        yield failed(
            "crate directory",
            f"{directory} on {looker.host} cannot be written: {space['error']}{free}{inodes}",
            "make space or rights there; crates appear by themselves afterwards (journals are kept)",
        )
    if missing:
        yield failed(
            "crates",
            f"{len(tasks) - len(missing)} of {plural(len(tasks), 'crate')} appeared in {directory} within "
            f"{duration(answer['waited_s'])}",
            f"look at {directory}/.spool and its agent.log; `prov-worker recover {directory}` finishes what was left",
        )
    wrong = [name for name, crate in answer["crates"].items() if crate["status"] not in (None, v.COMPLETED_STATUS)]
    if wrong:
        yield failed("crates", f"{plural(len(wrong), 'crate')} of tasks that ended well say they failed", "report this")
    if not missing and not wrong:
        last = max((stages_of(evidence, task).get("crate", 0.0) for task in tasks), default=0.0)
        bytes_each = [crate["bytes"] for crate in answer["crates"].values() if crate["bytes"] is not None]
        each = "" if not bytes_each else f", {size(sum(bytes_each) / len(bytes_each))} each"
        yield passed(
            "crates", f"{len(tasks)} of {len(tasks)} in {directory}{each}, at most {duration(last)} after their tasks"
        )


CHECKS.add("crates", Check(("crates",), _judge), rank=60)
