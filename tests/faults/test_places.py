"""Places of one host name that share a crate directory, and a crate directory that is another one under its path."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crate_dir import CrateDir, wait_until
from support.direct import Call, DirectWorker, Start

#: Processes, mounts and shared memory of its own, and the host's name, as a container with the host's network has them.
CONTAINER = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"),
)


@pytest.fixture(autouse=True)
def _rights() -> None:
    if os.getuid() != 0 or subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs to make name spaces and mounts")


def result(worker: DirectWorker, number: int) -> None:
    wait_until(lambda: worker.raw(number) is not None, lambda: f"the result of call {number}\n{worker.text()}")


def statuses(crate_dir: CrateDir, *calls: Call) -> list[str]:
    return [crate.status for crate in crate_dir.wait_for([call.task for call in calls])]


def test_containers_of_one_name_leave_each_others_tasks_alone(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    go, end = tmp_path / "go", tmp_path / "end"
    began, long, quick = Call("add", (1, 2)), Call("wait_for_file", (str(go),)), [Call("add", (n, n)) for n in range(9)]
    first = start(began, long, prefix=CONTAINER, linger=end)
    result(first, 0)
    wait_until(lambda: any(line["task"] == long.task for line in crate_dir.lines("start")), "the long task")
    second = start(*quick, prefix=CONTAINER, linger=end)
    assert statuses(crate_dir, *quick) == ["completed"] * 9
    for _ in range(3):
        assert "finished 0 crates" in crate_dir.recover().stdout
    assert f"{long.task}.crate" not in crate_dir.names()
    go.touch()
    assert statuses(crate_dir, began, long) == ["completed", "completed"]
    end.touch()
    assert [first.wait(), second.wait()] == [0, 0]
    assert len(crate_dir.names()) == 11


def test_a_container_that_comes_again_with_the_same_process_numbers(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    began, lost, after = Call("add", (1, 2)), Call("wait_for_file", ("/nowhere",)), Call("add", (3, 4))
    first = start(began, lost, prefix=CONTAINER)
    result(first, 0)
    wait_until(lambda: any(line["task"] == lost.task for line in crate_dir.lines("start")), "the task that is lost")
    first.process.kill()  # and with it all processes of its name space
    first.wait()
    second = start(after, prefix=CONTAINER, linger=end)
    assert statuses(crate_dir, after) == ["completed"]
    assert "finished 0 crates" in crate_dir.recover().stdout
    took = subprocess.run(
        [*("unshare", "--pid", "--fork", "--mount-proc"), *crate_dir.recover_command(), "--take-over"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "process" not in took.stderr
    assert statuses(crate_dir, began, lost, after) == ["completed", "failed", "completed"]
    end.touch()
    assert second.wait() == 0


@pytest.fixture
def mounted(crate_dir: CrateDir) -> Iterator[Path]:
    crate_dir.crates.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", crate_dir.crates], check=True)
    yield crate_dir.crates
    subprocess.run(["umount", "-l", crate_dir.crates], check=True)


def test_a_crate_directory_that_is_unmounted_lazily_and_another_mounted(
    crate_dir: CrateDir, start: Start, mounted: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    before, during = Call("add", (1, 2)), Call("wait_for_file", (str(go),))
    calls = [before, during, Call("sleep", (1.0,)), *(Call("add", (n, n)) for n in range(9))]
    worker = start(*calls)
    assert statuses(crate_dir, before) == ["completed"]
    wait_until(lambda: any(line["task"] == during.task for line in crate_dir.lines("start")), "the task meanwhile")
    subprocess.run(["umount", "-l", mounted], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", mounted], check=True)
    go.touch()
    assert worker.wait() == 0
    assert statuses(crate_dir, *calls[2:]) == ["completed"] * 10
    assert crate_dir.crate(calls[2].task).function_name == "sleep"


def test_a_worker_with_other_clocks_is_served_by_an_agent_of_its_own(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """By its clocks a process starts at another time: an agent outside took it for one that is gone."""
    clocks = ("unshare", "--time", "--fork", "--kill-child", "--monotonic=86400", "--boottime=86400")
    if subprocess.run([*clocks, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs name spaces of time")
    end = tmp_path / "end"
    outside, long, quick = Call("add", (1, 2)), Call("sleep", (2.0,)), Call("add", (3, 4))
    host = start(outside, linger=end)
    result(host, 0)
    inside = start(long, quick, prefix=clocks, linger=end)
    assert statuses(crate_dir, outside, long, quick) == ["completed"] * 3
    end.touch()
    assert [host.wait(), inside.wait()] == [0, 0]
