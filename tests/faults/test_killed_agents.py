"""A full node whose agent is killed again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start

WORKERS = 64


@contextlib.contextmanager
def killing(crate_dir: CrateDir, every_s: float, sizes: list[int]) -> Iterator[list[int]]:
    """Kill the agent of a crate directory again and again while the body runs.

    Args:
        crate_dir: the directory.
        every_s: pause between two of them.
        sizes: takes the resident memory of its processes, kB, before each.

    Yields:
        Process ids of the agents that were killed.
    """
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not over.wait(every_s):
            about = crate_dir.agent()
            if about is None or about["pid"] in killed[-1:]:
                continue
            processes = [about["pid"], about["finaliser"]]
            sizes.append(sum(map(_resident_kb, processes)))
            killed.append(about["pid"])
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _resident_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("workers", "each"), [(4, 20), pytest.param(WORKERS, 16, marks=pytest.mark.long)], ids=["some", "full-node"]
)
def test_an_agent_that_is_killed_every_second(
    crate_dir: CrateDir, start: Start, tmp_path: Path, workers: int, each: int
) -> None:
    """Nothing is lost, nothing is said twice, and nothing is said that is not so."""
    end = tmp_path / "end"
    # a worker looks for the agent at the start of a task, every five seconds: the last one finds none, and starts it
    rest = [("sleep", (5.5,)), ("add", (1, 2))]
    plans = [[Call(*call) for call in [("sleep", (0.3,))] * each + rest] for _ in range(workers)]
    sizes: list[int] = []
    running = [start(*plan, linger=end) for plan in plans]
    with killing(crate_dir, 1.0, sizes) as killed:
        wait_until(lambda: all(worker.raw(each - 1) for worker in running), "all results", 600)
    assert killed
    print(f"{len(killed)} agents killed; resident memory before that, kB: {sizes}")
    tasks = [call.task for plan in plans for call in plan]
    crates = crate_dir.wait_for(tasks, 300)
    assert {crate.status for crate in crates} == {"completed"}
    names = {"sleep": workers * (each + 1), "add": workers}
    assert Counter(crate.function_name for crate in crates) == names
    assert all((crate.wall_time_s or 0) >= 0.3 for crate in crates if crate.function_name == "sleep")
    end.touch()
    assert [worker.wait() for worker in running] == [0] * workers
    crate_dir.wait_for_end_of_agent()
    assert len(crate_dir.names()) == len(tasks)
    assert crate_dir.journals(closed=False) == []
    assert max(sizes) < 200_000
