"""Jobs on the stand-in for PBS: submitted, looked at, waited for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., "Cluster"]
Wait = Callable[..., None]
#: Signals come soon, for tests of what they do; the defaults are the recorded times.
SOON = {"mom_poll_s": 0.1, "walltime_kill_s": 1.0, "qdel_kill_s": 1.0}


def script(cluster: Cluster, text: str, name: str = "job.sh") -> str:
    (cluster.home / name).write_text(f"#!/bin/bash\n{text}\n")
    return name


def submit(cluster: Cluster, text: str, *options: str) -> str:
    done = cluster.run("qsub", *options, script(cluster, text))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+\.pbs1\n", done.stdout)
    return done.stdout.strip()


def state(cluster: Cluster, job: str) -> tuple[str, int]:
    attributes = cluster.jobs()[job]
    return attributes["job_state"], attributes["substate"]


def finished(cluster: Cluster, job: str, wait_for: Wait) -> dict[str, Any]:
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", f"the end of {job}")
    return cluster.jobs()[job]
