"""The launcher of MPI tasks, as the workers' shell finds it."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.worker_shell import in_worker_shell

_LINE = "MPI launcher"
#: How Open MPI calls itself in ``mpiexec --version``: 4 and earlier, 5.
_OPEN_MPI = ("OpenRTE", "Open MPI", "PRRTE")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield whether it is there, and whose it is: Parsl composes options that Open MPI does not take."""
    mode = subject.values.get("mpi", "none")
    if mode == "none":
        return
    name = "srun" if mode == "srun" else "mpiexec"
    question = ["sh", "-c", f"command -v {name} && {name} --version 2>&1 | head -n 20"]
    lines = in_worker_shell(subject, question).answer.output.strip().splitlines()
    path = next((line for line in lines if line.startswith("/")), None)
    if path is None:
        remedy = f"load the module that has {name} in worker_init, unless compute nodes have it by themselves"
        yield warned(_LINE, f"{name} is not on the PATH that worker_init leaves here", remedy)
        return
    version = " ".join(lines[lines.index(path) + 1 :])
    is_open_mpi = any(word in version for word in _OPEN_MPI)
    if mode == "mpiexec" and is_open_mpi:
        yield failed(_LINE, f"{path} is Open MPI's, which refuses the options that Parsl composes", "--set mpi=openmpi")
    elif mode == "openmpi" and not is_open_mpi:
        yield failed(_LINE, f"{path} is not Open MPI's: {version[:200] or 'it says no version'}", "--set mpi=mpiexec")
    else:
        yield passed(_LINE, path)


CHECKS.add("mpi", check, rank=45)
