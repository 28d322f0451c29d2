"""The commands of the batch system that Parsl calls, and those that start the workers in a job."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker import programs, schedulers
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LINE = "scheduler commands"


def check(subject: Subject) -> Iterator[Finding]:
    """Presence of the commands; then account, queue and limits, by the scheduler's own word."""
    scheduler = subject.scheduler
    if scheduler is None:
        return
    paths = {name: programs.find(name) for name in scheduler.commands}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        problem = f"{', '.join(missing)}: not found on PATH"
        yield failed(_LINE, problem, "run this on a login node, and load the module that brings them")
        return
    yield passed(_LINE, ", ".join(map(str, paths.values())))
    launcher = schedulers.launcher_program(str(subject.provider.get("launcher", {}).get("type")))
    if launcher is not None:
        path = programs.find(launcher)
        if path is None:
            problem = f"{launcher}, which starts the workers in a job, is not on this host"
            yield warned("launcher", problem, "make sure that compute nodes have it, or load its module in worker_init")
        else:
            yield passed("launcher", path)
    yield from scheduler.preflight(subject)


CHECKS.add("scheduler", check, rank=50)
