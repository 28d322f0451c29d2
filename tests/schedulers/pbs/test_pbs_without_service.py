"""Jobs without the web service on Polaris' template: the engine in the program, its blocks by the stand-in for PBS."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("globus_compute_endpoint")

from pbs_site import PROJECT, cluster, worker_init

from prov_worker.crate.check import check_crate
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from support import jobs_at_site
from support.commands import run_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("pbs-jobs")]
PROGRAM = Path(jobs_at_site.__file__)


def test_the_engine_submits_its_blocks_itself(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    pbs = cluster(tmp_path / "pbs", "polaris-pbs-01", {"ncpus": 64, "ngpus": 4}, "home:eagle")
    crates = tmp_path / "crates"
    options = {
        "account": PROJECT, "crate_dir": str(crates), "interface": "lo", "idle_time": 3, "strategy_period": 0.5,
        "plots": "none", "worker_init": worker_init(0), "workers": 2, "affinity": "none", "accelerators": [],
        "heartbeat_period": 1, "heartbeat_threshold": 10,
    }  # fmt: skip
    environment = {**os.environ, "PATH": f"{pbs.bin}:{os.environ['PATH']}"}
    pbs.start()
    try:
        command = [
            sys.executable,
            str(PROGRAM),
            "polaris",
            str(tmp_path / "jobs.jsonl"),
            json.dumps(options),
            "PBS_JOBID",
        ]
        done = run_program(*command, env=environment, timeout=500)
        assert done.returncode == 0, f"{done.stderr[-3000:]}{pbs.log}"
        answer = json.loads(done.stdout.splitlines()[-1])
        paths = [crates / f"{task}.crate" for task in answer["tasks"]]
        wait_for(lambda: all(path.exists() for path in paths), "the crates")
    finally:
        pbs.stop()
    assert [value[0] for value in answer["values"]] == [0, 1, 2, 3]
    assert answer["late"] == "timed_out"
    assert "polaris: login nodes are shared" in done.stderr
    for path, value in zip(paths, answer["values"], strict=False):
        assert [finding for finding in check_crate(path) if finding.level == "error"] == []
        step = open_step(source_of(path))[0]
        assert (step.annotations["run"], value[1]) == ("scan-5", step.scheduler_job)
