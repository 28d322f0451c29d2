"""From a task to its crate, through both ways of switching recording on."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import functions
import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError
from prov_worker.spool.launch import agent_lives
from prov_worker.spool.paths import runtime_dir
from support import calls
from support.marks import LOST_MANAGER

LIMIT_S = 180


@pytest.mark.faults
def test_both_attempts_of_a_retried_task_leave_a_crate(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    task_id, function_id = uuid.uuid4(), uuid.uuid4()
    last, first = crates / f"{task_id}.crate", crates / f"{task_id}.attempt-1.crate"
    with EmbeddedEndpoint(
        workers=1, provenance={"crate_dir": str(crates)}, max_retries=1, heartbeat_period_s=1
    ) as endpoint:
        marker = str(tmp_path / "marker")
        future = endpoint.submit_as(task_id, calls.die_once, (marker,), function_id=function_id)
        assert future.result(LIMIT_S) == "second attempt"
        wait_for(lambda: last.exists() and first.exists(), "crates of both attempts")
    assert (StepCrate.open(last).attempt, StepCrate.open(last).status) == (2, "completed")
    killed = StepCrate.open(first)
    assert (killed.attempt, killed.status) == (1, "failed")
    assert "SIGKILL" in (killed.error or "")
    assert str(function_id) in killed.function["@id"]
    assert killed.endpoint_id == str(endpoint.endpoint_id)


@pytest.mark.parametrize("engine", ["GlobusComputeEngine", "ProcessPoolEngine", "ThreadPoolEngine"])
def test_tasks_of_stock_engines_are_recorded_by_the_environment(crates: Path, engine: str) -> None:
    """As at a facility's endpoint: the variables are set where the workers' interpreters begin."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from prov_worker.globus.embedded import EmbeddedEndpoint\n"
        "import functions\n"
        "if __name__ == '__main__':\n"
        "    with EmbeddedEndpoint(engine=sys.argv[1], workers=1) as endpoint:\n"
        "        future = endpoint.submit(functions.add, 1, 2)\n"
        "        assert future.result(180) == 3\n"
        "        print(future.task_id)\n"
        "        crate = Path(sys.argv[2]) / f'{future.task_id}.crate'\n"
        "        deadline = time.monotonic() + 30\n"
        "        while not crate.exists() and time.monotonic() < deadline:\n"
        "            time.sleep(0.05)\n"
    )
    environ = os.environ | {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    script = crates.parent / "client.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script), engine, str(crates)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    crate = crates / f"{done.stdout.strip()}.crate"
    assert StepCrate.open(crate).function_name == "add"
    assert sorted(path.name for path in crates.glob("*.crate")) == [crate.name]


def test_before_result_means_that_the_crate_is_there_with_the_result(crates: Path) -> None:
    settings = {"crate_dir": str(crates), "write": "before_result"}
    with EmbeddedEndpoint(workers=2, provenance=settings) as endpoint:
        for number in range(5):
            future = endpoint.submit(functions.add, number, 1)
            assert future.result(LIMIT_S) == number + 1
            assert StepCrate.open(crates / f"{future.task_id}.crate").status == "completed"


@LOST_MANAGER
@pytest.mark.faults
@pytest.mark.slow
def test_a_lost_manager_leaves_a_failed_crate(crates: Path, wait_for: Callable[..., None]) -> None:
    with EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates)}, heartbeat_period_s=1) as endpoint:
        future = endpoint.submit(functions.kill_manager)
        with pytest.raises(TaskFailedError, match="ManagerLost|BadState"):
            future.result(LIMIT_S)
        crate = crates / f"{future.task_id}.crate"
        wait_for(crate.exists, "the crate of the lost task")
    assert StepCrate.open(crate).function_name == "kill_manager"


@LOST_MANAGER
@pytest.mark.faults
def test_no_agent_stays_for_an_endpoint_that_is_closed(crates: Path, wait_for: Callable[..., None]) -> None:
    """Though its process lives on; the next endpoint of the process is looked after again."""
    runtime = runtime_dir(str(crates))
    for _ in range(2):
        with EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates)}, heartbeat_period_s=1) as endpoint:
            with pytest.raises(TaskFailedError):
                (lost := endpoint.submit(functions.kill_manager)).result(LIMIT_S)
            wait_for((crates / f"{lost.task_id}.crate").exists, "the crate of the lost task")
    wait_for(lambda: not agent_lives(runtime), "the agent's end")


@pytest.mark.faults
def test_a_spool_that_cannot_be_written_hurts_no_task(crates: Path) -> None:
    crates.mkdir()
    (crates / ".spool").write_text("in the way")
    with EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates)}) as endpoint:
        assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
        with pytest.raises(TaskFailedError, match="ValueError: no"):
            endpoint.submit(functions.refuse, "no").result(LIMIT_S)
