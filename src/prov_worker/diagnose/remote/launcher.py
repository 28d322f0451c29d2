"""Ranks of an MPI program, as the launcher that a worker finds starts them; no MPI library is needed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import Any

_MARK = "prov-worker-rank "
#: What each rank runs. One write: lines of ranks do not mix. Rank and size by the names of Open MPI, PMIx (PRRTE), PMI
#: (MPICH, Intel MPI), PALS (HPE Cray) and Slurm.
_PROGRAM = """\
import json, os, socket
def first(*names):
    return next(((name, os.environ[name]) for name in names if name in os.environ), (None, None))
rank, size = (
    first("OMPI_COMM_WORLD_RANK", "PALS_RANKID", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"),
    first("OMPI_COMM_WORLD_SIZE", "PALS_SIZE", "PMI_SIZE", "SLURM_NTASKS", "SLURM_NPROCS"),
)
line = json.dumps({"variable": rank[0], "rank": rank[1], "size": size[1], "host": socket.gethostname(),
                   "pid": os.getpid(), "cpus": sorted(os.sched_getaffinity(0))})
os.write(1, ("\\nprov-worker-rank " + line + "\\n").encode())
"""


def probe_launcher(request: dict[str, Any]) -> dict[str, Any]:
    """Start ranks.

    Args:
        request: ``ranks``, how many, unless the engine has said it by ``PARSL_MPI_PREFIX``; ``launch_s``, how long it
            may take.

    Returns ``launcher``, its path, None: there is none; ``command``; ``status``, None: it took too long; ``ranks``,
    what each said; ``output``, the end of what else was printed.
    """
    prefix = shlex.split(os.environ.get("PARSL_MPI_PREFIX", ""))
    program = prefix[0] if prefix else _launcher_here()
    answer: dict[str, Any] = {
        "wanted": prefix[0] if prefix else None,
        "launcher": program and shutil.which(program),
        "engine_says": bool(prefix),
    }
    if not answer["launcher"]:
        return answer
    environment = dict(os.environ)
    if os.geteuid() == 0:  # as in a container; Open MPI refuses otherwise
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    command = (prefix or [answer["launcher"], "-n", str(request["ranks"])]) + [sys.executable, "-c", _PROGRAM]
    answer["command"] = [*command[:-1], "..."]
    try:
        ended = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=request["launch_s"],
            check=False,
        )
        answer["status"], text = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired as error:
        answer["status"], text = None, error.stdout or b""
    lines = text.decode(errors="replace").splitlines()
    answer["ranks"] = [json.loads(line[len(_MARK) :]) for line in lines if line.startswith(_MARK)]
    rest = [line for line in lines if line.strip() and not line.startswith(_MARK)]
    answer["output"] = "\n".join(rest)[-2000:]
    return answer


def _launcher_here() -> Any:
    """Return the launcher that suits: Slurm's inside a job of it, else the first that there is."""
    names = ["mpiexec", "mpirun", "srun"]
    if "SLURM_JOB_ID" in os.environ:
        names.insert(0, names.pop())
    return next((name for name in names if shutil.which(name)), None)
