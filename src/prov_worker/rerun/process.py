"""The process that runs a step again: it calls the helper that workers call, recorded, and ends.

Started by module name with the path of a JSON file that has the call, the new task's id and the settings.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path


def begun_mark(job: Path) -> Path:
    """Return the file which says that this environment has all that it takes to run a call, and that it is run."""
    return job.with_suffix(".begun")


def main(path: str) -> None:
    """Run the call that a file has."""
    from prov_worker.globus.call_packing import pack_task
    from prov_worker.globus.worker import execute_task

    job = json.loads(Path(path).read_text())
    begun_mark(Path(path)).touch()
    task_id = uuid.UUID(job["task_id"])
    execute_task(
        pack_task(task_id, job["call"]),
        task_id,
        provenance=job["provenance"],
        run_dir=job["run_dir"],
        run_in_sandbox=True,
    )


if __name__ == "__main__":
    main(sys.argv[1])
