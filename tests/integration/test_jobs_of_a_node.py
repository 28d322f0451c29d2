"""Several jobs and environments on one node: each crate describes its own, not that of the worker that came first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.run.api import open_run
from support.programs import Programs

PROGRAM = """
import os
import sys
import time
import prov_worker


@prov_worker.step
def work(release):
    prov_worker.annotate(job=os.environ["NAME"])
    while not os.path.exists(release):
        time.sleep(0.05)


work(sys.argv[1])
"""


def variables(tmp_path: Path, crates: Path, name: str, nodes: list[str], version: str) -> dict[str, str]:
    """Environment of a job of an array, with modules and a distribution of its own."""
    packages = tmp_path / f"packages-{name}"
    (packages / f"{name}-{version}.dist-info").mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (packages / f"{name}-{version}.dist-info/METADATA").write_text(metadata)
    (tmp_path / f"nodes-{name}").write_text("\n".join(nodes))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PROV_WORKER", "PBS_", "SLURM_"))}
    path = os.pathsep.join([str(packages), *(p for p in sys.path if p)])
    return kept | {
        "NAME": name,
        "PROV_WORKER": "1",
        "PROV_WORKER_CRATE_DIR": str(crates),
        "PROV_WORKER_PLOTS": "none",
        "PYTHONPATH": path,
        "PBS_JOBID": f"{name}[{version}].pbs",
        "PBS_ARRAY_ID": f"{name}[].pbs",
        "PBS_ARRAY_INDEX": version,
        "PBS_NODENUM": "0",
        "PBS_NODEFILE": str(tmp_path / f"nodes-{name}"),
        "LOADEDMODULES": f"PrgEnv/{version}:{name}",
    }


@pytest.fixture
def reports(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None], programs: Programs
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Crate and hardware report by job: the first one runs on while the second and third begin and end."""
    here = os.uname().nodename
    jobs = {
        "one": variables(tmp_path, crates, "one", [here], "1"),
        "two": variables(tmp_path, crates, "two", ["other", here], "2"),
        "three": variables(tmp_path, crates, "three", [here, "other", "third"], "3"),
    }
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    release = tmp_path / "release"
    first = programs.start([sys.executable, str(program), str(release)], env=jobs["one"])
    wait_for(lambda: any((crates / ".spool").glob("*.jsonl")), "the first job's journal")
    for name in ("two", "three"):
        subprocess.run([sys.executable, str(program), "/"], env=jobs[name], check=True, timeout=120)
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 2, "two crates beside the first job")
    release.touch()
    assert first.wait(timeout=60) == 0
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 3, "three crates")
    run = open_run(crates)
    return {str(step.annotations["job"]): (Path(step.crate), run.hardware(step)["probes"]) for step in run.steps()}


def test_each_crate_describes_its_own_job(reports: dict[str, tuple[Path, dict[str, Any]]]) -> None:
    here = os.uname().nodename
    jobs = {name: probes["scheduler"]["data"] for name, (_, probes) in reports.items()}
    assert {name: (job["job_id"], job["array_index"]) for name, job in jobs.items()} == {
        "one": ("one[1].pbs", 1),
        "two": ("two[2].pbs", 2),
        "three": ("three[3].pbs", 3),
    }
    assert {name: job["nodes"] for name, job in jobs.items()} == {
        "one": [here],
        "two": ["other", here],
        "three": [here, "other", "third"],
    }
    assert {name: job["node_index"] for name, job in jobs.items()} == {"one": 0, "two": 1, "three": 0}
    for name, (crate, probes) in reports.items():
        software = probes["environment"]["data"]
        version = jobs[name]["array_index"]
        assert software["loaded_modules"] == [f"PrgEnv/{version}", name]
        assert {key: software["distributions"].get(key) for key in reports} == {
            key: str(version) if key == name else None for key in reports
        }
        assert (software["python"]["executable"], software["python"]["prefix"]) == (sys.executable, sys.prefix)
        assert not [finding for finding in check_crate(crate) if finding.level == "error"]
