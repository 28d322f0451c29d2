"""An engine that is killed leaves its interchange, managers and workers: the next one of its folder ends them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from prov_worker.globus import orphans, processes
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFuture
from prov_worker.globus.orphans import PoolProcess
from support import calls
from support.crate_dir import CrateDir, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(600)]
LIMIT_S = 180
Program = Callable[..., subprocess.Popen[str]]


def of(run_dir: Path) -> list[PoolProcess]:
    """Processes of the executors of a folder."""
    return [part for part in orphans.pool_processes() if orphans.is_in(part, run_dir)]


def endpoint(crate_dir: CrateDir, run_dir: Path, **options: object) -> EmbeddedEndpoint:
    provenance = {"crate_dir": str(crate_dir.crates), "probes": ["cpu"], "plots": "none"}
    options = {"workers": 2, "heartbeat_period_s": 1, "provenance": provenance, **options}
    return EmbeddedEndpoint(run_dir=run_dir, **options)  # type: ignore[arg-type]


@pytest.fixture
def program(crate_dir: CrateDir, tmp_path: Path) -> Iterator[Program]:
    """Start an endpoint in a process of its own, which can be killed; ends all that it leaves."""
    started: list[subprocess.Popen[str]] = []
    folders: list[Path] = []

    def start(run_dir: Path, *lines: str, setup: tuple[str, ...] = (), **options: object) -> subprocess.Popen[str]:
        path = tmp_path / f"{run_dir.name}.py"
        provenance = {"crate_dir": str(crate_dir.crates), "probes": ["cpu"], "plots": "none"}
        options = {"workers": 2, "run_dir": str(run_dir), "provenance": provenance, **options}
        body = [
            "if __name__ == '__main__':",
            *(f"    {line}" for line in setup),
            f"    with EmbeddedEndpoint(**{options!r}) as served:",
            *(f"        {line}" for line in lines),
        ]
        head = ["import itertools, os, sys, time", "from prov_worker.globus.embedded import EmbeddedEndpoint"]
        path.write_text("\n".join([*head, "from support import calls", *body]) + "\n")
        tests = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent / "src"), str(tests)])}
        process = subprocess.Popen(
            [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        started.append(process)
        folders.append(run_dir)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for run_dir in folders:
        orphans.end(of(run_dir))
    for process in started:
        for pipe in (process.stdin, process.stdout):  # nobody waits for their end: orphans have inherited them
            assert pipe is not None
            pipe.close()


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, "the program ended before it printed a line"
    return text.split()


def running_task(started: Path, child: Path) -> tuple[str, ...]:
    """A task that has ended, and one that runs, with a program of its own."""
    return (
        "done = served.submit(calls.add, 1, 2)",
        "done.result(180)",
        f"running = served.submit(calls.run_program, 'echo $$ > {child}; touch {started}; exec sleep 600')",
        "print(done.task_id, running.task_id, flush=True)",
        "time.sleep(600)",
    )


def kill(parts: list[PoolProcess]) -> None:
    for part in parts:
        part.process.kill()
    wait_until(lambda: not any(processes.is_alive(part.process) for part in parts), "the killed ones are gone")


@pytest.mark.parametrize("also_killed", [(), ("interchange", "manager")], ids=str)
def test_what_a_killed_engine_left_is_ended_by_the_next(
    crate_dir: CrateDir,
    program: Program,
    tmp_path: Path,
    also_killed: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_dir, started, child = tmp_path / "run", tmp_path / "started", tmp_path / "child"
    process = program(run_dir, *running_task(started, child))
    tasks = line(process)
    wait_until(started.exists, "the task runs", LIMIT_S)
    task = psutil.Process(int(child.read_text()))
    before = of(run_dir)
    assert sorted(part.kind for part in before) == ["interchange", "manager", "worker", "worker", "worker"]
    assert orphans.without_engine(before) == []

    process.kill()
    process.wait()
    kill([part for part in before if part.kind in also_killed])
    left = [part for part in before if part.kind not in also_killed]
    # Nobody ends them: this is what it is about.
    assert {part.process for part in orphans.without_engine(of(run_dir))} >= {
        part.process for part in left if part.kind != "worker" or "worker_" in " ".join(processes.opened(part.process))
    }

    with caplog.at_level(logging.WARNING, logger="prov_worker"), endpoint(crate_dir, run_dir) as served:
        assert not [part for part in left if processes.is_alive(part.process)]
        assert not processes.is_alive(task), "a task's program is in the block"
        (message,) = [text for text in caplog.messages if text.startswith("ended what an earlier engine")]
        assert str(run_dir) in message
        assert all(name in message for name in orphans.names(left) if "worker" not in name)
        futures = served.map(calls.add, range(20), range(20))
        assert [future.result(LIMIT_S) for future in futures] == [2 * number for number in range(20)]
        crates = crate_dir.wait_for([*tasks, *ids(futures)], LIMIT_S)
        # The agent is no orphan: it finished those tasks, and serves this engine's workers.
        agents = [each for each in processes.mine() if "prov_worker.agent.main" in processes.command(each)]
        pids = [agent.pid for agent in agents if str(crate_dir.crates) in processes.command(agent)]
        assert sorted(pids) == sorted(crate_dir.wait_for_agent()[key] for key in ("pid", "finaliser"))
    assert [crate.status for crate in crates] == ["completed", "failed", *["completed"] * 20]
    wait_until(lambda: not of(run_dir), "this engine's own are gone")


def test_another_endpoints_are_named_and_left_alone(
    crate_dir: CrateDir, program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other, run_dir = tmp_path / "other", tmp_path / "run"
    process = program(other, *running_task(tmp_path / "started", tmp_path / "child"))
    line(process)
    process.kill()
    process.wait()
    left = of(other)
    assert {part.kind for part in left} == {"interchange", "manager", "worker"}
    with caplog.at_level(logging.WARNING, logger="prov_worker"), endpoint(crate_dir, run_dir) as served:
        futures = served.map(calls.add, range(20), range(20))
        assert [future.result(LIMIT_S) for future in futures] == [2 * number for number in range(20)]
    assert all(processes.is_alive(part.process) for part in left)
    named = [text for text in caplog.messages if text.startswith("left alone, though its engine is gone")]
    for kind in ("interchange", "manager"):
        (part,) = [part for part in left if part.kind == kind]
        assert [text for text in named if f"{kind} of {other}, process {part.process.pid} " in text]


def test_a_living_engine_of_the_same_folder_keeps_its_own(
    crate_dir: CrateDir, program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_dir = tmp_path / "run"
    process = program(
        run_dir,
        "for text in itertools.chain(['first'], sys.stdin):",
        "    print(served.submit(calls.add, 1, 2).result(180), os.getpid(), flush=True)",
    )
    assert line(process)[0] == "3"
    before = of(run_dir)
    with caplog.at_level(logging.WARNING, logger="prov_worker"), endpoint(crate_dir, run_dir) as served:
        assert served.submit(calls.add, 2, 3).result(LIMIT_S) == 5
        assert all(processes.is_alive(part.process) for part in before)
        assert process.stdin is not None
        print("again", file=process.stdin, flush=True)
        assert line(process)[0] == "3"
    assert all(processes.is_alive(part.process) for part in before)
    assert [text for text in caplog.messages if f"another engine uses this folder: process {process.pid};" in text]


def test_an_engine_that_was_killed_in_its_first_moment(crate_dir: CrateDir, program: Program, tmp_path: Path) -> None:
    """Its interchange has neither a title nor a log yet."""
    run_dir = tmp_path / "run"
    process = program(
        run_dir,
        "pass",
        setup=(
            "import psutil",
            "from parsl.executors.high_throughput import zmq_pipes",
            "def die(*args, **options):",
            "    started = [child for child in psutil.Process().children() if 'interchange' in str(child.cmdline())]",
            "    print(started[0].pid, flush=True)",
            f"    os.kill(os.getpid(), {int(signal.SIGKILL)})",
            "zmq_pipes.CommandClient.run = die",
        ),
    )
    left = psutil.Process(int(line(process)[0]))
    process.wait(LIMIT_S)
    assert processes.is_alive(left)
    with endpoint(crate_dir, run_dir) as served:
        assert not processes.is_alive(left)
        assert served.submit(calls.add, 2, 3).result(LIMIT_S) == 5


def test_two_engines_that_start_at_once_after_a_crash(crate_dir: CrateDir, program: Program, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = program(run_dir, *running_task(tmp_path / "started", tmp_path / "child"))
    line(process)
    process.kill()
    process.wait()
    left = of(run_dir)
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda _: orphans.end(orphans.without_engine(of(run_dir))), range(2)))
    assert ended == [[], []]
    assert not any(processes.is_alive(part.process) for part in left)


def ids(futures: list[TaskFuture]) -> list[str]:
    return [str(future.task_id) for future in futures]
