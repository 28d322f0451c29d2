"""What a server of the stand-in knows of its cluster."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Config:
    """A cluster.

    Attributes:
        server: name of the server, the second part of every job's id.
        nodes: by name, what each has: ``ncpus`` and more.
        queues: by name, the longest walltime of a job, seconds; the first is the default.
        resources: resources of whole jobs beyond those of PBS.
        chunk_resources: resources of chunks (``select``) beyond those of PBS.
        file_systems: those that a job may name; None where it need name none.
        projects: those that have an allocation; None where nobody asks.
        history: ``job_history_enable``.
        acl_roots: root may submit, as after ``qmgr -c "set server acl_roots += root"``.
        manager: whoever asks is a manager of PBS, who is told more of a job.
        qsub_stays_s: how long ``qsub`` leaves a process in the background; the real one does for a minute.
        home: of the user; the real one takes it from the password file.
        mpi: directory of ``mpiexec``, which sites put on every job's PATH.
        mom_poll_s: how often the node looks at walltimes.
        walltime_kill_s: from SIGTERM to SIGKILL after the walltime.
        qdel_kill_s: from SIGTERM to SIGKILL after ``qdel``.
        node_fail_requeue_s: from the loss of a node until its jobs wait again.
        first: number of the first job.
    """

    server: str = "pbs1"
    nodes: dict[str, dict[str, int]] = field(default_factory=lambda: {"pbs1": {"ncpus": 4}})
    queues: dict[str, int | None] = field(default_factory=lambda: {"workq": None})
    resources: list[str] = field(default_factory=list)
    chunk_resources: list[str] = field(default_factory=list)
    file_systems: list[str] | None = None
    projects: list[str] | None = None
    history: bool = True
    acl_roots: bool = True
    manager: bool = False
    qsub_stays_s: float = 0.0
    home: str = "/nonexistent"
    mpi: str = ""
    mom_poll_s: float = 10.0
    walltime_kill_s: float = 10.7
    qdel_kill_s: float = 18.5
    node_fail_requeue_s: float = 310.0
    first: int = 0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Config:
        return cls(**json.loads(path.read_text()))
