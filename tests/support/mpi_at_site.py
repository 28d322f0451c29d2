"""A program that a user runs on a login node: MPI tasks of several nodes, on a site's template.

python mpi_at_site.py SITE STORE OPTIONS RANKS NODES      prints what each rank says, the crate, and a refusal, as JSON
"""

from __future__ import annotations

import json
import sys
from typing import Any


def ranks() -> list[str]:
    """Start the ranks by the launcher that the engine names; each says its number and its node."""
    import os
    import subprocess

    command = f"{os.environ['PARSL_MPI_PREFIX']} sh -c 'echo $SLURM_PROCID of $SLURM_NTASKS on $(uname -n)'"
    return sorted(subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.splitlines())


def main(site: str, store: str, options: dict[str, Any], rank_count: int, nodes: int) -> None:
    """See above."""
    from prov_worker import jobs

    with jobs.open(site=site, store=store, options=options) as session:
        job = session.options(ranks=rank_count, nodes=nodes).submit(ranks)
        beyond = session.options(nodes=nodes + 1).submit(ranks)
        session.wait(400)
        answer = {"ranks": job.result(), "beyond": beyond.error, "task": job.task_id}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
