"""Why a worker died, what it left in its sandbox, and the source of what it ran."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from prov_worker.agent import exits
from prov_worker.agent import output_files as module
from prov_worker.agent.exits import failure_of_death
from prov_worker.agent.output_files import Budget, declared_files, output_files
from prov_worker.model import OutputFile


@pytest.mark.parametrize(
    "status, kills, kind, message",
    [
        (9, 0, "signal", "killed by SIGKILL"),
        (9, 2, "signal", "2 out-of-memory kill"),
        (15, 2, "signal", "killed by SIGTERM"),
        (11 | 0x80, 0, "signal", "SIGSEGV"),
        (3 << 8, 0, "exit", "exit status 3"),
        (0, 0, "exit", "exit status 0"),
        (None, 0, "unknown", "collected before"),
    ],
)
def test_a_wait_status_in_words(status: int | None, kills: int, kind: str, message: str) -> None:
    failure = failure_of_death(status, "node", 7, kills)
    assert failure.kind == kind
    assert message in failure.message
    assert "process 7 on node" in failure.message
    assert (failure.signal is not None) == (kind == "signal")
    if status == 15:
        assert "out-of-memory" not in failure.message


def test_a_signal_without_a_name() -> None:
    assert failure_of_death(40, "node", 7).signal in ("signal 40", "SIGRTMIN+6")


def test_kills_are_counted_where_the_kernel_tells(tmp_path: Path) -> None:
    count = exits.oom_kills()
    assert count is None or count >= 0
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 2\n")
    assert exits._oom_count(str(events)) == 2
    events.write_text("oom_kill many\n")
    assert exits._oom_count(str(events)) is None
    assert exits._oom_count(str(tmp_path / "none")) is None


def test_files_of_a_sandbox(tmp_path: Path) -> None:
    box = tmp_path / "box"
    (box / "sub").mkdir(parents=True)
    (box / "b.txt").write_text("hello")
    (box / "sub" / "a.txt").write_text("")
    (box / "link").symlink_to(tmp_path)
    (box / "to_file").symlink_to(box / "b.txt")
    os.mkfifo(box / "pipe")
    files, note = output_files(str(box))
    assert [(file.path, file.size_bytes) for file in files] == [("b.txt", 5), ("sub/a.txt", 0)]
    assert files[0].sha256 == hashlib.sha256(b"hello").hexdigest()
    assert note is None
    assert output_files(str(tmp_path / "none")) == ([], None)


def test_files_without_end_and_files_that_nobody_answers_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    log = tmp_path / "log"
    log.write_bytes(b"line\n" * 100)
    whole = hashlib.sha256(log.read_bytes()).hexdigest()
    growing = subprocess.Popen(["sh", "-c", f"while :; do echo line >> {log}; done"])
    try:
        files, _ = output_files(str(tmp_path))
        named = ["/proc/self/pagemap", "/proc/kmsg", "/sys/kernel/uevent_seqnum", "/dev/zero", str(tmp_path / "fifo")]
        declared = declared_files([OutputFile(path, -1) for path in (*named, str(log))])
    finally:
        growing.kill()
        growing.wait()
    assert [file.path for file in files] == ["log"]
    assert [file.path for file in declared] == [str(log)]
    for file in (*files, *declared):
        assert file.sha256 == hashlib.sha256(log.read_bytes()[: file.size_bytes]).hexdigest()
    assert whole == hashlib.sha256(b"line\n" * 100).hexdigest()
    assert output_files("/proc")[0] == []


def test_the_time_for_the_files_of_a_task_is_limited(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    over = Budget(until=time.monotonic() - 1)
    assert declared_files([OutputFile(str(tmp_path / "a"), -1)], over) == [OutputFile(str(tmp_path / "a"), 1, None)]
    assert output_files(str(tmp_path), over) == ([], "Only files that were found within 30 s are listed.")
    assert over.is_over


def test_too_many_and_too_large_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    monkeypatch.setattr(module, "MAX_HASHED_BYTES", 10)
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"x" * 6)
    files, note = output_files(str(tmp_path))
    assert [file.sha256 is None for file in files] == [False, True, True]
    assert note is not None
    assert "first 3 files" in note
