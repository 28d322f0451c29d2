"""Disks that are full, read-only or gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.direct import Call, Start
from support.house import House, wait_until


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(house: House) -> Iterator[Path]:
    """The crate directory on a file system of one MiB."""
    house.crates.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", "size=1m", "none", str(house.crates)):
        pytest.skip("a small disk needs root and the right to mount")
    yield house.crates
    house.close()
    subprocess.run(["umount", "-l", str(house.crates)], check=True)


@pytest.fixture
def read_only(house: House) -> Iterator[Path]:
    """A read-only crate directory; remounted by the test."""
    house.crates.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", "ro,size=16m", "none", str(house.crates)):
        pytest.skip("a read-only directory needs root and the right to mount: root ignores modes")
    yield house.crates
    house.close()
    subprocess.run(["umount", "-l", str(house.crates)], check=True)


@pytest.mark.parametrize("when", ["before", "amid"])
def test_a_full_disk_costs_no_result_and_crates_appear_when_there_is_room(
    house: House, start: Start, small_disk: Path, tmp_path: Path, when: str
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
    wait_until(lambda: "their records are kept" in (house.runtime / "agent.log").read_text(), "the agent says so")
    assert len(house.names()) < 60
    assert _mount("-o", "remount,size=64m", str(small_disk))
    filler.unlink()
    crates = house.wait_for([call.task for call in calls], 60)
    assert {crate.status for crate in crates} == {"completed"}
    go.touch()
    worker.wait()
    house.wait_for_end_of_agent()
    house.no_half_files()
    assert len(house.names()) == 60


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


def test_a_read_only_crate_directory(house: House, start: Start, read_only: Path, tmp_path: Path) -> None:
    go = tmp_path / "end"
    calls = [Call("add", (n, n)) for n in range(5)]
    worker = start(*calls, linger=go)
    wait_until(lambda: worker.raw(4), "all results")
    assert [worker.value(n) for n in range(5)] == [0, 2, 4, 6, 8]
    log = house.runtime / "agent.log"
    wait_until(lambda: log.exists() and "their records are kept" in log.read_text(), "the agent says so")
    assert list(read_only.iterdir()) == []
    assert _mount("-o", "remount,rw", str(read_only))
    assert {crate.status for crate in house.wait_for([call.task for call in calls], 60)} == {"completed"}
    go.touch()
    worker.wait()
    house.wait_for_end_of_agent()
    assert house.journals(closed=False) == []


def test_a_read_only_crate_directory_and_no_agent_until_it_is_writable(
    house: House, start: Start, read_only: Path
) -> None:
    calls = [Call("add", (1, 2)), Call("kill_self", (9,))]
    worker = start(*calls)
    house.wait_for_agent()
    worker.wait()
    agent = house.wait_for_agent()
    for key in ("pid", "finaliser"):
        os.kill(agent[key], 9)
    assert worker.value(0) == 3
    house.wait_for_end_of_agent()
    assert _mount("-o", "remount,rw", str(read_only))
    house.recover()
    first, second = [house.crate(call.task) for call in calls]
    assert (first.status, second.status) == ("completed", "failed")
    assert second.function_name == "kill_self"


def test_a_mount_point_that_is_missing_is_recorded_as_absent(house: House, start: Start, tmp_path: Path) -> None:
    call = Call("add", (1, 2))
    missing = str(tmp_path / "no" / "such" / "mount")
    worker = start(call, settings={"mount_points": [missing, str(tmp_path)], "probes": ["storage"]})
    (crate,) = house.wait_for([call.task])
    assert worker.wait() == 0
    assert worker.value(0) == 3
    hardware = crate.hardware()
    assert missing in str(hardware["probes"]["storage"])
    text = (crate.path / "ro-crate-metadata.json").read_text()
    assert missing in text
    assert "absent" in text or "not there" in text or "missing" in text
