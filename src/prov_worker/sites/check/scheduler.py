"""The commands of the batch system that Parsl calls, and those that start the workers in a job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker import programs, schedulers
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LINE = "scheduler commands"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield presence of the commands; then account, queue and limits, by the scheduler's own word."""
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
            yield _options(path, subject.provider["launcher"])
    yield from scheduler.preflight(subject)


def _options(path: str, launcher: Mapping[str, Any]) -> Finding:
    """Ask a launcher for the options that it is given: programs of one name, such as mpiexec, take different ones."""
    given = f"{launcher.get('bind_cmd', '')} {launcher.get('overrides', '')}".split()
    wanted = dict.fromkeys(word.partition("=")[0] for word in given if word.startswith("--"))
    answer = programs.run([path, "--help"])
    if answer.status != 0 or not wanted:
        return passed("launcher", path)
    text = answer.output + answer.errors
    missing = [option for option in wanted if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)]
    if not missing:
        return passed("launcher", f"{path}, which has {', '.join(wanted)}")
    remedy = "load the module of the site's own launcher here and in worker_init, if compute nodes have this one too"
    return warned("launcher", f"{path} has no option {', '.join(missing)}: blocks would end at once", remedy)


CHECKS.add("scheduler", check, rank=50)
