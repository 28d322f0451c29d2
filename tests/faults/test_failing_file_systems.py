"""Crate directories on file systems that fail or have a quota."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import run_program
from support.crate_dir import CrateDir, kill_together, wait_until
from support.direct import TESTS, Call, Start


class FailingMount:
    """A crate directory on a file system that fails on request (:mod:`support.faulty_fs`)."""

    def __init__(self, orders: Path) -> None:
        self._orders = orders

    def fail(self, error: str, *operations: str) -> None:
        """Let operations fail from now on, all of them if none is named; as in a file that is replaced whole."""
        self._order(f"{error} {' '.join(operations) or '*'}")

    def recover(self) -> None:
        """Let nothing fail any more."""
        self._order("")

    def _order(self, text: str) -> None:
        new = self._orders.with_suffix(".new")
        new.write_text(text)
        new.replace(self._orders)


@pytest.fixture
def failing(crate_dir: CrateDir, tmp_path: Path) -> Iterator[FailingMount]:
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError, AttributeError):
        pytest.skip("needs mfusepy and libfuse (Debian: fuse3)")
    if os.getuid() != 0 or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs root and /dev/fuse")
    backing, orders = tmp_path / "backing", tmp_path / "orders"
    for directory in (backing, crate_dir.crates):
        directory.mkdir()
    orders.touch()
    log = tmp_path / "mount.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "support.faulty_fs", backing, crate_dir.crates, orders],
            cwd=TESTS,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: os.path.ismount(crate_dir.crates) or server.poll() is not None, "the mount")
        if server.poll() is not None:
            pytest.skip(f"no file system can be mounted here: {log.read_text()}")
        yield FailingMount(orders)
        orders.write_text("")
        crate_dir.close()
    finally:
        subprocess.run(["umount", "-l", crate_dir.crates], check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait()


@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
def test_a_file_system_that_fails_and_comes_back(
    error: str, crate_dir: CrateDir, start: Start, failing: FailingMount, tmp_path: Path
) -> None:
    go, end = tmp_path / "go", tmp_path / "end"
    before, during = Call("add", (1, 2)), Call("wait_for_file", (str(go),))
    after = [Call("add", (n, n)) for n in range(20)]
    worker = start(before, during, *after, linger=end)
    crate_dir.wait_for([before.task])
    wait_until(lambda: any(line["task"] == during.task for line in crate_dir.lines("start")), "the second task")
    failing.fail(error)
    go.touch()
    wait_until(lambda: worker.raw(21), "all results")
    assert [worker.value(n + 2) for n in range(20)] == [2 * n for n in range(20)]
    failing.recover()
    crates = crate_dir.wait_for([call.task for call in (before, during, *after)])
    assert {crate.status for crate in crates} == {"completed"}
    end.touch()
    assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    assert len(crate_dir.names()) == 22
    assert crate_dir.journals(closed=False) == []


def test_recover_names_a_journal_that_fails_to_be_read_and_leaves_it(
    crate_dir: CrateDir, start: Start, failing: FailingMount
) -> None:
    lost = Call("wait_for_file", ("/nowhere",))
    worker = start(lost)
    wait_until(lambda: any(line["task"] == lost.task for line in crate_dir.lines("start")), "the task")
    agent = crate_dir.wait_for_agent()
    kill_together(agent["pid"], agent["finaliser"], worker.pid)
    worker.wait()
    crate_dir.wait_for_end_of_agent()
    (journal,) = crate_dir.journals(closed=False)
    failing.fail("EIO", "read")
    done = crate_dir.recover(check=False)
    assert done.returncode == 1
    assert journal.name in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    failing.recover()
    assert crate_dir.journals(closed=False) == [journal]
    assert crate_dir.names() == []
    crate_dir.recover()
    (crate,) = crate_dir.wait_for([lost.task])
    assert crate.status == "failed"


@pytest.fixture
def quota(crate_dir: CrateDir, tmp_path: Path) -> Iterator[Path]:
    """A crate directory that is a subvolume of btrfs with a limit of 2 MiB; the limit is of this subvolume alone."""
    if os.getuid() != 0 or shutil.which("mkfs.btrfs") is None:
        pytest.skip("needs root and btrfs-progs")
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(192 << 20)
    # what the crates are below is the mount, so that the subvolume has the name of the test's directory
    disk = tmp_path / "mount"
    disk.mkdir()
    run_program("mkfs.btrfs", "-q", image, check=True)
    if run_program("mount", "-o", "loop", image, disk).returncode:
        pytest.skip("this kernel mounts no btrfs, or no loop device")
    try:
        run_program("btrfs", "quota", "enable", disk, check=True)
        run_program("btrfs", "subvolume", "create", disk / "crates", check=True)
        run_program("btrfs", "qgroup", "limit", "2M", disk / "crates", check=True)
        crate_dir.crates = disk / "crates"
        yield crate_dir.crates
        crate_dir.close()
    finally:
        run_program("umount", "-l", disk, check=True)


def test_a_quota_that_is_used_up_and_raised(crate_dir: CrateDir, start: Start, quota: Path, tmp_path: Path) -> None:
    end = tmp_path / "end"
    with pytest.raises(OSError, match="quota"):
        _fill(quota / "filler")
    calls = [Call("add", (n, n)) for n in range(30)]
    worker = start(*calls, linger=end)
    wait_until(lambda: worker.raw(29), "all results")
    assert [worker.value(n) for n in range(30)] == [2 * n for n in range(30)]
    log = crate_dir.runtime / "agent.log"
    wait_until(lambda: log.exists() and "their records are kept" in log.read_text(), "the agent says so")
    run_program("btrfs", "qgroup", "limit", "none", quota, check=True)
    crates = crate_dir.wait_for([call.task for call in calls])
    assert {crate.status for crate in crates} == {"completed"}
    end.touch()
    assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    assert len(crate_dir.names()) == 30


def _fill(path: Path) -> None:
    """Write until that fails, synchronously: else the quota is found out later."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)
            os.fsync(file.fileno())
