"""Disks that are full, read-only or gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crate_dir import CrateDir, kill_together, wait_until
from support.direct import Call, Start


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(crate_dir: CrateDir) -> Iterator[Path]:
    """The crate directory on a file system of one MiB."""
    crate_dir.crates.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", "size=1m", "none", str(crate_dir.crates)):
        pytest.skip("a small disk needs root and the right to mount")
    yield crate_dir.crates
    crate_dir.close()
    subprocess.run(["umount", "-l", str(crate_dir.crates)], check=True)


@pytest.fixture
def read_only(crate_dir: CrateDir) -> Iterator[Path]:
    """A read-only crate directory; remounted by the test."""
    crate_dir.crates.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", "ro,size=16m", "none", str(crate_dir.crates)):
        pytest.skip("a read-only directory needs root and the right to mount: root ignores modes")
    yield crate_dir.crates
    crate_dir.close()
    subprocess.run(["umount", "-l", str(crate_dir.crates)], check=True)


@pytest.mark.parametrize("when", ["before", "amid"])
def test_a_full_disk_costs_no_result_and_crates_appear_when_there_is_room(
    crate_dir: CrateDir, start: Start, small_disk: Path, tmp_path: Path, when: str
) -> None:
    go = tmp_path / "end"
    filler = small_disk / "filler"
    calls = [Call("add", (n, n)) for n in range(60)]
    if when == "before":
        _fill(filler)
    worker = start(*calls, linger=go)
    if when == "amid":
        wait_until(lambda: worker.raw(2), "the first results")
        _fill(filler)
    wait_until(lambda: worker.raw(59), "all results")
    assert [worker.value(n) for n in range(60)] == [2 * n for n in range(60)]
    wait_until(lambda: "their records are kept" in (crate_dir.runtime / "agent.log").read_text(), "the agent says so")
    assert len(crate_dir.names()) < 60
    assert _mount("-o", "remount,size=64m", str(small_disk))
    filler.unlink()
    crates = crate_dir.wait_for([call.task for call in calls])
    assert {crate.status for crate in crates} == {"completed"}
    go.touch()
    worker.wait()
    crate_dir.wait_for_end_of_agent()
    crate_dir.no_half_files()
    assert len(crate_dir.names()) == 60


def _fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        block = 1 << 16
        while block:
            try:
                while file.write(b"x" * block) == block:
                    pass
                block //= 2
            except OSError:
                block //= 2


def test_a_read_only_crate_directory(crate_dir: CrateDir, start: Start, read_only: Path, tmp_path: Path) -> None:
    go = tmp_path / "end"
    calls = [Call("add", (n, n)) for n in range(5)]
    worker = start(*calls, linger=go)
    wait_until(lambda: worker.raw(4), "all results")
    assert [worker.value(n) for n in range(5)] == [0, 2, 4, 6, 8]
    log = crate_dir.runtime / "agent.log"
    wait_until(lambda: log.exists() and "their records are kept" in log.read_text(), "the agent says so")
    assert list(read_only.iterdir()) == []
    assert _mount("-o", "remount,rw", str(read_only))
    assert {crate.status for crate in crate_dir.wait_for([call.task for call in calls])} == {"completed"}
    go.touch()
    worker.wait()
    crate_dir.wait_for_end_of_agent()
    assert crate_dir.journals(closed=False) == []


def test_a_read_only_crate_directory_and_no_agent_until_it_is_writable(
    crate_dir: CrateDir, start: Start, read_only: Path
) -> None:
    calls = [Call("add", (1, 2)), Call("kill_self", (9,))]
    worker = start(*calls)
    crate_dir.wait_for_agent()
    worker.wait()
    agent = crate_dir.wait_for_agent()
    kill_together(agent["pid"], agent["finaliser"])
    assert worker.value(0) == 3
    crate_dir.wait_for_end_of_agent()
    assert _mount("-o", "remount,rw", str(read_only))
    crate_dir.recover()
    first, second = [crate_dir.crate(call.task) for call in calls]
    assert (first.status, second.status) == ("completed", "failed")
    assert second.function_name == "kill_self"


def test_a_mount_point_that_is_missing_is_recorded_as_absent(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    call = Call("add", (1, 2))
    missing = str(tmp_path / "no" / "such" / "mount")
    worker = start(call, settings={"mount_points": [missing, str(tmp_path)], "probes": ["storage"]})
    (crate,) = crate_dir.wait_for([call.task])
    assert worker.wait() == 0
    assert worker.value(0) == 3
    hardware = crate.hardware()
    assert missing in str(hardware["probes"]["storage"])
    text = (crate.path / "ro-crate-metadata.json").read_text()
    assert missing in text
    assert "absent" in text or "not there" in text or "missing" in text
