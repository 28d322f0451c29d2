"""Each task of a Dask cluster is a step, without a line of the user's; a real LocalCluster of processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.capture import dask as capture
from prov_worker.recorder import context
from prov_worker.run.api import open_run
from support.commands import run_program

PROGRAM = """
import os, signal, sys, time
import prov_worker
from distributed import Client, LocalCluster

def double(x): return 2 * x
def add(a, b=0): return a + b
def fail(): raise ValueError("bad luck")
def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"

@prov_worker.step
def job(path):
    options = dict(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        parts = client.map(double, range(6), pure=False)
        total = client.submit(add, parts[1], b=parts[2], key="total")
        assert (client.gather(parts), total.result()) == ([0, 2, 4, 6, 8, 10], 6)
        assert type(client.submit(fail).exception()) is ValueError
        del parts, total
        assert client.submit(die_once, path).result() == "alive"
    return 3

if __name__ == "__main__":
    assert job(sys.argv[1]) == 3
"""
BATCH = """
import sys
import prov_worker
from dask_jobqueue.local import LocalCluster
from distributed import Client

def double(x): return 2 * x

@prov_worker.step
def job():
    here = sys.argv[1]
    options = dict(cores=1, memory="1GB", processes=1, nanny=True, local_directory=here, log_directory=here)
    options["scheduler_options"] = {"dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(**options) as cluster:
        cluster.scale(jobs=2)
        with Client(cluster) as client:
            client.wait_for_workers(2)
            return client.gather(client.map(double, range(6), pure=False))

if __name__ == "__main__":
    assert job() == [0, 2, 4, 6, 8, 10]
"""
DASK = os.environ.get("PROV_TEST_DASK", "")
PYTHONS = [
    pytest.param("", id="newest"),
    pytest.param(
        DASK,
        id="oldest",
        marks=[
            pytest.mark.long,
            pytest.mark.skipif(not os.path.exists(DASK), reason="PROV_TEST_DASK names no Python; make dask"),
        ],
    ),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("python", PYTHONS)
def test_tasks_of_a_cluster_are_steps_also_those_that_are_killed(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None], python: str
) -> None:
    import sys

    pytest.importorskip("distributed")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    done = run_program(python or sys.executable, "program.py", tmp_path / "killed", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: {"job", "die_once"} <= {step.function for step in open_run(crates).steps()}, "the job's crate")
    wait_for(lambda: len(list(crates.glob("*.crate"))) >= 11, "the crates of all tasks")
    steps: dict[str, list[Any]] = {}
    for step in open_run(crates).steps():
        steps.setdefault(step.function, []).append(step)
    assert steps.keys() == {"job", "double", "add", "fail", "die_once"}
    (job,), (total,), (fail,) = steps["job"], steps["add"], steps["fail"]
    assert len(steps["double"]) == 6
    assert {step.part_of for name, others in steps.items() for step in others if name != "job"} == {job.task_id}
    assert (job.part_of, job.needs) == (None, [])
    assert sorted(total.needs) == sorted(
        step.task_id for step in steps["double"] if step.results[0].sha256 in {a.sha256 for a in total.arguments}
    )
    assert [argument.name for argument in total.arguments] == ["a", "b"]
    assert total.part_key == "total"
    assert (fail.status, fail.error) == ("failed", "ValueError: bad luck")
    outcomes = {step.status: step for step in steps["die_once"]}
    assert "killed by SIGKILL" in outcomes["failed"].error
    assert outcomes["completed"].task_id == outcomes["failed"].task_id


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(not os.path.exists(DASK), reason="PROV_TEST_DASK names no Python; make dask")
def test_workers_of_batch_jobs_record_their_tasks(tmp_path: Path, crates: Path, wait_for: Callable[..., None]) -> None:
    """Through dask-jobqueue, whose scripts a shell runs in the place of a scheduler."""
    (tmp_path / "program.py").write_text(BATCH)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    done = run_program(DASK, "program.py", tmp_path, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 7, "the crates of all tasks")
    steps = list(open_run(crates).steps())
    (job,) = (step for step in steps if step.function == "job")
    assert [step.part_of for step in steps if step.function == "double"] == [job.task_id] * 6


def test_a_worker_that_takes_no_plugin_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    provenance = {"key": "k", "settings": {"crate_dir": str(tmp_path)}}
    monkeypatch.setenv(context.CONTEXT, "")
    context.publish(str(tmp_path / "slot"), provenance, None)
    asyncio.run(capture.dask_setup(object()))
    assert "its workers of this release take no plugin" in caplog.text
    caplog.clear()
    provenance["settings"] = {"capture": {"dask": False}}
    context.publish(str(tmp_path / "slot"), provenance, None)
    asyncio.run(capture.dask_setup(object()))
    assert caplog.text == ""
