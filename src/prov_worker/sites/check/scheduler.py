"""The commands of the batch system that Parsl calls, and those that start the workers in a job."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.sites.check import pbs, slurm
from prov_worker.sites.check.asking import there
from prov_worker.sites.check.finding import Finding, failed, passed, warned
from prov_worker.sites.check.subject import Subject

_SUBMIT = {"pbs": ("qsub", "qstat", "qdel"), "slurm": ("sbatch", "squeue", "scancel")}
_LAUNCH = {"MpiExecLauncher": "mpiexec", "SrunLauncher": "srun"}
_LINE = "scheduler commands"


def check(subject: Subject) -> Iterator[Finding]:
    """Presence of the commands; then account, queue and limits, by the scheduler's own word."""
    kind = subject.scheduler
    if not kind:
        return
    missing = [name for name in _SUBMIT[kind] if there(name) is None]
    if missing:
        found = f"{', '.join(missing)}: not found on PATH"
        yield failed(_LINE, found, "run this on a login node, and load the module that brings them")
        return
    yield passed(_LINE, ", ".join(str(there(name)) for name in _SUBMIT[kind]))
    launcher = _LAUNCH.get(str(subject.provider.get("launcher", {}).get("type")))
    if launcher is not None:
        path = there(launcher)
        if path is None:
            found = f"{launcher}, which starts the workers in a job, is not on this host"
            yield warned("launcher", found, "make sure that compute nodes have it, or load its module in worker_init")
        else:
            yield passed("launcher", path)
    yield from (pbs if kind == "pbs" else slurm).check(subject)
