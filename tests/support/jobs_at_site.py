"""A program that a user runs on a login node: jobs without the web service, on a site's template.

python jobs_at_site.py SITE STORE OPTIONS VARIABLE      prints values, states and tasks, as JSON
"""

from __future__ import annotations

import json
import sys
from typing import Any


def where(number: int, variable: str) -> tuple[int, str]:
    """Say in which job of the scheduler this is."""
    import os

    return number, os.environ[variable]


def stay(seconds: float) -> None:
    """Sleep."""
    import time

    time.sleep(seconds)


def main(site: str, store: str, options: dict[str, Any], variable: str) -> None:
    """See above."""
    from prov_worker import jobs

    with jobs.open(site=site, store=store, options=options, run="scan-5") as session:
        batch = session.batch(where, [jobs.Call(number, variable) for number in range(4)])
        values = batch.results(400)
        late = session.options(time_limit=1).submit(stay, 600)
        session.wait(400)
        print(json.dumps({"values": values, "late": str(late.state), "tasks": [job.task_id for job in session]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
