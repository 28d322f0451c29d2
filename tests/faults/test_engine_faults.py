"""Faults of what runs the workers: managers, blocks, interchanges and engines; with real ones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError, TaskFuture
from support import calls
from support.crate_dir import CrateDir, alive, wait_until
from support.programs import Programs

LIMIT_S = 180


def endpoint(crate_dir: CrateDir, **options: object) -> EmbeddedEndpoint:
    provenance = {"crate_dir": str(crate_dir.crates), "probes": ["cpu"], "plots": "none"}
    options = {"workers": 2, "heartbeat_period_s": 1, "provenance": provenance, **options}
    return EmbeddedEndpoint(**options)  # type: ignore[arg-type]


def named(word: str, run_dir: Path) -> list[int]:
    """Processes of one endpoint whose command line has a word; Parsl starts its pools in sessions of their own."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if word in line and str(run_dir) in line and alive(int(entry.name)):
                    pids.append(int(entry.name))
    return pids


def workers_of(pools: list[int]) -> list[int]:
    """Children of the pools, and theirs: Parsl's workers."""
    pids: list[int] = []
    todo = list(pools)
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                below = [int(word) for word in task.read_text().split()]
                pids += below
                todo += below
    return pids


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def program(programs: Programs, tmp_path: Path, *lines: str) -> subprocess.Popen[str]:
    """An endpoint in a process of its own, which can be killed."""
    path = tmp_path / "program.py"
    body = "\n".join(f"    {line}" for line in lines)
    path.write_text(
        "import time\nfrom prov_worker.globus.embedded import EmbeddedEndpoint\nfrom support import calls\n"
        f"if __name__ == '__main__':\n{body}\n"
    )
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent / "src"), str(tests)])}
    return programs.start([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=environment)


def first_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    fields = process.stdout.readline().split()
    assert fields, "the program ended before it said a word"
    return fields


def end(process: subprocess.Popen[str], run_dir: Path) -> None:
    """Kill an endpoint, and the interchange and the pool that upstream leaves behind.

    An interchange that lives on connects to whatever binds its ports next, and hands it the results of its own tasks.
    """
    interchange = workers_of([process.pid])
    process.kill()
    process.wait()
    kill(interchange)
    assert process.stdout is not None
    process.stdout.close()
    pools = named("process_worker_pool", run_dir)
    kill([*workers_of(pools), *pools])


def ids(futures: list[TaskFuture]) -> list[str]:
    return [str(future.task_id) for future in futures]


@pytest.mark.slow
def test_the_manager_is_killed(crate_dir: CrateDir, tmp_path: Path) -> None:
    started, run_dir = tmp_path / "started", tmp_path / "run"
    with endpoint(crate_dir, run_dir=run_dir, workers=1) as served:
        done = served.submit(calls.add, 1, 2)
        assert done.result(LIMIT_S) == 3
        running = served.submit(calls.touch_and_wait, str(started), "/nonexistent")
        wait_until(started.exists, "the task runs", LIMIT_S)
        waiting = [served.submit(calls.sleep, 0.1) for _ in range(3)]
        pools = named("process_worker_pool", run_dir)
        assert pools
        orphans = workers_of(pools)
        kill(pools)
        with pytest.raises(TaskFailedError):
            running.result(LIMIT_S)
        for future in waiting:
            future.exception(LIMIT_S)
        kill(orphans)
    crates = crate_dir.wait_for(ids([done, running, *waiting]))
    assert crates[0].status == "completed"
    assert crates[1].status == "failed"
    assert crates[1].function_name == "touch_and_wait"


@pytest.mark.slow
def test_the_block_is_ended_as_at_its_walltime(crate_dir: CrateDir, tmp_path: Path) -> None:
    """SIGTERM to all of the block's processes, as schedulers send it."""
    started, run_dir = tmp_path / "started", tmp_path / "run"
    with endpoint(crate_dir, run_dir=run_dir, heartbeat_threshold_s=3) as served:
        running = served.submit(calls.touch_and_wait, str(started), "/nonexistent")
        wait_until(started.exists, "the task runs", LIMIT_S)
        pools = named("process_worker_pool", run_dir)
        assert pools
        os.killpg(os.getpgid(pools[-1]), signal.SIGTERM)
        with pytest.raises(TaskFailedError):
            running.result(LIMIT_S)
    (crate,) = crate_dir.wait_for(ids([running]))
    assert crate.status == "failed"
    assert crate.function_name == "touch_and_wait"
    assert "SIGTERM" in (crate.error or "")


@pytest.mark.slow
def test_the_interchange_is_killed(crate_dir: CrateDir, programs: Programs, tmp_path: Path) -> None:
    """Upstream hangs then, even when it is to end; what the workers ended has crates all the same."""
    run_dir = tmp_path / "run"
    process = program(
        programs,
        tmp_path,
        f"with EmbeddedEndpoint(workers=2, run_dir={str(run_dir)!r}, provenance={{"
        f"'crate_dir': {str(crate_dir.crates)!r}, "
        "'probes': ['cpu'], 'plots': 'none'}) as served:",
        "    done = [served.submit(calls.add, n, n) for n in range(10)]",
        "    assert [future.result(180) for future in done] == [2 * n for n in range(10)]",
        "    served.engine.executor.interchange_proc.kill()",
        "    print(*[future.task_id for future in done], flush=True)",
        "    time.sleep(600)",
    )
    tasks = first_line(process)
    assert {crate.status for crate in crate_dir.wait_for(tasks)} == {"completed"}
    end(process, run_dir)
    assert len(tasks) == 10


@pytest.mark.slow
def test_retries_keep_their_attempts(crate_dir: CrateDir, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with endpoint(crate_dir, max_retries=1, workers=1) as served:
        future = served.submit(calls.die_once, str(marker))
        assert future.result(LIMIT_S) == "second attempt"
        task = str(future.task_id)
        crate_dir.wait_for([task])
        wait_until(lambda: f"{task}.attempt-1.crate" in crate_dir.names(), crate_dir.describe)
    first, second = crate_dir.crate(task, 1), crate_dir.crate(task)
    assert (first.status, second.status) == ("failed", "completed")
    assert (first.attempt, second.attempt) == (1, 2)
    # Before Linux 6.15 nobody can tell how a worker ended that its manager has waited for.
    assert "SIGKILL" in (first.error or "") or "disappeared while the task ran" in (first.error or "")
    assert sorted(crate_dir.names()) == sorted([f"{task}.crate", f"{task}.attempt-1.crate"])


@pytest.mark.slow
@pytest.mark.parametrize("name, workers", [("ThreadPoolEngine", 4), ("ProcessPoolEngine", 2)])
def test_other_engines_under_the_hook(
    crate_dir: CrateDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, workers: int
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from prov_worker.globus.embedded import EmbeddedEndpoint\n"
        "from support import calls\n"
        "if __name__ == '__main__':\n"
        f"    with EmbeddedEndpoint(engine={name!r}, workers={workers}) as served:\n"
        "        futures = [served.submit(calls.burn_then_sleep, 0.01, 0.02) for _ in range(20)]\n"
        "        assert [f.result(180) for f in futures] == [0.01] * 20\n"
        "        print(*[f.task_id for f in futures])\n"
    )
    tests = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tests.parent / "src"), str(tests)]),
        "PROV_WORKER": "1",
        "PROV_WORKER_CRATE_DIR": str(crate_dir.crates),
        "PROV_WORKER_PROBES": "cpu",
    }
    code = (
        "from prov_worker.globus import hook; hook.install(); import runpy; "
        f"runpy.run_path({str(program)!r}, run_name='__main__')"
    )
    arguments = [sys.executable, "-c", code] if name == "ThreadPoolEngine" else [sys.executable, str(program)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    tasks = done.stdout.split()
    assert len(tasks) == 20
    crates = crate_dir.wait_for(tasks)
    assert {crate.status for crate in crates} == {"completed"}
    assert {crate.function_name for crate in crates} == {"burn_then_sleep"}


@pytest.mark.slow
def test_the_endpoints_process_is_killed_and_started_again(
    crate_dir: CrateDir, programs: Programs, tmp_path: Path
) -> None:
    started, run_dir = tmp_path / "started", tmp_path / "run"
    process = program(
        programs,
        tmp_path,
        f"with EmbeddedEndpoint(workers=1, run_dir={str(run_dir)!r}, provenance={{"
        f"'crate_dir': {str(crate_dir.crates)!r}, "
        "'probes': ['cpu'], 'plots': 'none'}) as served:",
        "    done = served.submit(calls.add, 1, 2)",
        "    done.result(180)",
        f"    running = served.submit(calls.touch_and_wait, {str(started)!r}, '/nonexistent')",
        "    print(done.task_id, running.task_id, flush=True)",
        "    time.sleep(600)",
    )
    tasks = first_line(process)
    wait_until(started.exists, "the task runs", LIMIT_S)
    end(process, run_dir)
    first, second = crate_dir.wait_for(tasks)
    assert (first.status, second.status) == ("completed", "failed")
    with endpoint(crate_dir, workers=1) as served:
        assert served.submit(calls.add, 1, 2).result(LIMIT_S) == 3
    wait_until(lambda: len(crate_dir.names()) == 3, crate_dir.describe)
