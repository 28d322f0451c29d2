"""Directories in the making: what killed writers left is removed, what others make is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prov_worker.crate import staging
from prov_worker.crate.sources import find_crates
from prov_worker.crate.staging import remove_leftovers, staging_name

#: A writer that gets a signal when its crate is whole and about to get its name.
WRITER = """
import os, sys
from pathlib import Path
from prov_worker.crate.writer import CrateWriter
from prov_worker.model import Function, HardwareSnapshot, TaskRecord, Worker
from prov_worker.settings import Settings

def stop(event, arguments):
    if event == "os.rename":
        os.kill(os.getpid(), int(sys.argv[2]))

record = TaskRecord("7a171870-b038-4174-8000-000000000001", 1, "completed", 1, 2, Function("f"), Worker("n", 1))
sys.addaudithook(stop)
CrateWriter(HardwareSnapshot("n", 0), Settings()).publish(record, None, None, Path(sys.argv[1]))
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(number: int) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def staged(directory: Path) -> list[Path]:
    return sorted(directory.glob(".tmp-*"))


def test_what_a_killed_writer_left_is_removed(writer: Callable[[int], subprocess.Popen[bytes]], tmp_path: Path) -> None:
    assert writer(signal.SIGKILL).wait() == -signal.SIGKILL
    (left,) = staged(tmp_path)
    assert (left / "ro-crate-metadata.json").is_file()
    assert list(find_crates(tmp_path)) == []
    assert remove_leftovers(tmp_path) == [left]
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_writer_makes_is_left_alone(
    writer: Callable[[int], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    process = writer(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    (path,) = staged(tmp_path)
    for directory in (path, *path.rglob("*")):
        os.utime(directory, (0, 0))
    assert remove_leftovers(tmp_path) == []
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    (crate,) = find_crates(tmp_path)
    assert remove_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == [crate]


def test_another_process_of_the_same_number_is_another_writer(tmp_path: Path) -> None:
    fields = staging_name("x").split("~")
    fields[4] = str(int(fields[4]) - 1)
    (tmp_path / "~".join(fields)).mkdir()
    assert len(remove_leftovers(tmp_path)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "x~another~0123456789ab~1~1~0",  # another node
        "x~{host}~0123456789ab~4194304~7~0",  # a container with this node's name, or an earlier boot
        "7a171870-b038-4174-8000-000000000001-node1-4194304-0123abcd-0",  # as version 0.1.0 named them
    ],
)
def test_what_another_place_made_is_removed_when_it_is_old(tmp_path: Path, name: str) -> None:
    path = tmp_path / f".tmp-{name.format(host=staging_name('x').split('~')[1])}"
    (path / "data").mkdir(parents=True)
    assert remove_leftovers(tmp_path) == []
    old = time.time() - staging.QUIET_S - 60
    os.utime(path, (old, old))
    assert remove_leftovers(tmp_path) == []  # something in it is young
    os.utime(path / "data", (old, old))
    assert remove_leftovers(tmp_path) == [path]


def test_links_files_and_crates_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / ".tmp-link").symlink_to(other)
    (tmp_path / ".tmp-file").touch()
    (tmp_path / "t.crate").mkdir()
    for path in (other, tmp_path / ".tmp-file"):
        os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_a_young_file_of_another_place_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / ".tmp-old.crates.zip~another~0123456789ab~1~1~0"
    path.touch()
    assert remove_leftovers(tmp_path) == []
    os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path) == [path]


def test_in_a_plain_directory_only_what_is_named_by_its_writer_goes(tmp_path: Path) -> None:
    theirs, ours = tmp_path / ".tmp-of-somebody", tmp_path / ".tmp-x.crate~another~0123456789ab~1~1~0"
    for path in (theirs, ours):
        path.mkdir()
        os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path, plain=True) == [ours]
    assert remove_leftovers(tmp_path) == [theirs]


def test_where_the_name_space_cannot_be_told_only_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = staging_name("x").split("~")
    fields[3] = "4194304"
    path = tmp_path / "~".join(fields)
    path.mkdir()
    # /proc cannot be taken away from a test.
    monkeypatch.setattr("prov_worker.processes.pid_namespace", lambda: "")
    assert remove_leftovers(tmp_path) == []
    os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path) == [path]


def test_names_are_told_apart() -> None:
    assert len({staging_name("x") for _ in range(100)}) == 100
    assert staging_name("x").startswith(".tmp-x~")
