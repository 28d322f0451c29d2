from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from prov_worker.processes import is_running, process_start, process_state, runs_in_container

#: Beyond the largest process id of Linux (proc(5), pid_max).
NO_PROCESS = 2**22 + 1


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its standard input to close."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.communicate()


def test_a_process_runs_if_id_and_start_are_its_own(child: subprocess.Popen[bytes]) -> None:
    start = process_start(child.pid)
    assert start >= process_start(os.getpid()) > 0
    assert process_state(child.pid) in ("R", "S", "D")
    assert is_running(child.pid)
    assert is_running(child.pid, start)
    assert not is_running(child.pid, start + 1)


def test_a_zombie_does_not_run(child: subprocess.Popen[bytes]) -> None:
    start = process_start(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_state(child.pid) == "Z"
    assert process_start(child.pid) == start
    assert not is_running(child.pid, start)


def test_a_process_that_is_gone() -> None:
    assert (process_start(NO_PROCESS), process_state(NO_PROCESS)) == (0, "")
    assert not is_running(NO_PROCESS)
    assert not is_running(NO_PROCESS, 0)


def test_a_name_with_spaces_and_brackets(tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, "a ) b (")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    process = subprocess.Popen([program, "600"])
    try:
        assert process_start(process.pid) >= process_start(os.getpid())
        assert is_running(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_process_of_a_container_is_found_by_its_start() -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no name space of processes can be made here")
    outer = subprocess.Popen([*command, "sleep", "600"])
    try:
        inner = None
        deadline = time.monotonic() + 90
        while inner is None and time.monotonic() < deadline:
            with open(f"/proc/{outer.pid}/task/{outer.pid}/children") as file:
                inner = next((int(word) for word in file.read().split()), None)
        assert inner is not None
        start = process_start(inner)
        assert runs_in_container(1, start)
        assert not runs_in_container(2, start)
        assert not runs_in_container(1, start - 1)
        assert not runs_in_container(outer.pid, process_start(outer.pid))
    finally:
        outer.kill()
        outer.wait()
