"""What a worker notes of itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from prov_worker.containers import Container
from prov_worker.recorder.worker_info import container_text, process_facts, worker_facts

DIGEST = "sha256:" + "ab" * 32
DOCKER = Container("docker", None)


@pytest.mark.parametrize(
    ("around", "environ", "text"),
    [
        (DOCKER, {}, "docker"),
        (DOCKER, {"PROV_WORKER_IMAGE": "o/i:1"}, "docker:o/i:1"),
        (DOCKER, {"PROV_WORKER_IMAGE": "o/i:1", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, f"docker:o/i:1@{DIGEST}"),
        (
            DOCKER,
            {"PROV_WORKER_IMAGE": f"o/i@{DIGEST}", "PROV_WORKER_IMAGE_DIGEST": DIGEST},
            f"docker:o/i@{DIGEST}",
        ),
        (DOCKER, {"PROV_WORKER_IMAGE_DIGEST": DIGEST}, "docker"),
        (
            Container("apptainer", "/i/w.sif"),
            {"PROV_WORKER_IMAGE": "w.sif", "PROV_WORKER_IMAGE_DIGEST": DIGEST},
            f"apptainer:/i/w.sif@{DIGEST}",
        ),
        # A job that was submitted from a container has its variables, and runs on the plain node.
        (None, {"PROV_WORKER_IMAGE": "o/i:1", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, None),
    ],
)
def test_name_and_digest(around: Container | None, environ: dict[str, str], text: str | None) -> None:
    assert container_text(around, environ) == text


def test_what_an_agent_must_know() -> None:
    environ = {
        "PBS_JOBID": "12[3].pbs",
        "PBS_ARRAY_INDEX": "3",
        "PBS_NODEFILE": "/var/spool/pbs/aux/12",
        "PBS_NODENUM": "0",
        "PBS_JOBCOOKIE": "5F3A",
        "LOADEDMODULES": "a:b",
        "PASSWORD": "hunter2",
    }
    facts = process_facts(environ, None)
    assert facts["job"] == {
        name: environ[name] for name in ("PBS_JOBID", "PBS_ARRAY_INDEX", "PBS_NODEFILE", "LOADEDMODULES")
    }
    assert facts["python"]["executable"] == sys.executable
    assert facts["python"]["prefix"] == sys.prefix
    assert facts["cgroup"] == Path("/proc/self/cgroup").read_text()
    assert facts["path"] == [directory for directory in sys.path if os.path.isabs(directory)]
    assert process_facts({"HOME": "/"}, None)["job"] == {}
    line = worker_facts(environ, ())
    assert "5F3A" not in json.dumps(line)
    assert "hunter2" not in json.dumps(line)
    assert line["sched"] == {"PBS_JOBID": "12[3].pbs", "PBS_ARRAY_INDEX": "3"}
