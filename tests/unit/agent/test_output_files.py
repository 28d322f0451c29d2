"""The files of a task's sandbox: as they were at its end, or with the reason why that is not known."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker import sandbox as listing
from prov_worker.agent import output_files as module
from prov_worker.agent.output_files import CHANGED, TAKEN_AWAY, TOO_LARGE, Budget, Sandboxes, declared_files
from prov_worker.model import COMPLETED, Function, OutputFile, TaskRecord, Worker
from prov_worker.sandbox import list_files
from prov_worker.spool.records import Ended
from support.crate_dir import wait_until

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.mkdir()
    return path


def ended_of(box: Path, at_end: bool = False) -> Ended:
    """A task that ends now."""
    now = time.time_ns()
    record = TaskRecord("task", 1, COMPLETED, now - 10**9, now, Function("f"), Worker("node", 1))
    listed = list_files(str(box)) if at_end else None
    return Ended(record, {}, sandbox=str(box), files=listed[0] if listed is not None else None)


def outputs_of(
    box: Path, *, at_end: bool = False, looked: bool = False, then: Callable[[], object] = lambda: None
) -> tuple[list[OutputFile], str | None]:
    """Files of a task that ends now; ``then`` happens before the agent hears of it."""
    sandboxes = Sandboxes()
    ended = ended_of(box, at_end)
    if looked:
        sandboxes.look({ended.record.attempt_id: str(box)})
    time.sleep(0.05)  # longer than a tick of the file system's clock
    then()
    outputs = sandboxes.end(ended)
    assert outputs is not None
    files = sandboxes.hashed(outputs)
    assert sandboxes._open == 0
    return files


def test_files_of_a_sandbox(box: Path, tmp_path: Path) -> None:
    (box / "sub").mkdir()
    (box / "b.txt").write_text("hello")
    (box / "sub" / "a.txt").write_text("")
    (box / "link").symlink_to(tmp_path)
    (box / "to_file").symlink_to(box / "b.txt")
    os.mkfifo(box / "pipe")
    files, note = outputs_of(box)
    assert [(file.path, file.size_bytes, file.unhashed) for file in files] == [
        ("b.txt", 5, None),
        ("sub/a.txt", 0, None),
    ]
    assert files[0].sha256 == HELLO
    assert note is None


def test_a_sandbox_that_is_gone_is_said(box: Path) -> None:
    (box / "a").write_text("hello")
    files, note = outputs_of(box, then=lambda: shutil.rmtree(box))
    assert files == []
    assert note is not None
    assert "taken away" in note
    assert "not known" in note


@pytest.mark.parametrize("at_end, looked", [(True, False), (False, True)])
def test_files_that_were_taken_away_are_listed_without_a_hash(box: Path, at_end: bool, looked: bool) -> None:
    (box / "a").write_text("hello")
    files, note = outputs_of(box, at_end=at_end, looked=looked, then=lambda: shutil.rmtree(box))
    assert files == [OutputFile("a", 5, None, TAKEN_AWAY)]
    assert note is not None
    assert "seen last" in note


@pytest.mark.parametrize("at_end, looked", [(True, False), (False, True)])
def test_one_file_that_was_moved_away_is_listed(box: Path, at_end: bool, looked: bool) -> None:
    (box / "a").write_text("hello")
    (box / "b").write_text("hello")
    files, note = outputs_of(box, at_end=at_end, looked=looked, then=(box / "a").unlink)
    assert files == [OutputFile("a", 5, None, TAKEN_AWAY), OutputFile("b", 5, HELLO)]
    assert note is None


def test_a_file_that_the_task_removed_itself_is_none_of_its_outputs(box: Path) -> None:
    (box / "scratch").write_text("hello")
    (box / "kept").write_text("hello")
    sandboxes = Sandboxes()
    attempt = ended_of(box).record.attempt_id
    sandboxes.look({attempt: str(box)})
    (box / "scratch").unlink()
    time.sleep(0.05)
    ended = ended_of(box)
    ended.record.start_ns = attempt.start_ns
    outputs = sandboxes.end(ended)
    assert outputs is not None
    assert sandboxes.hashed(outputs)[0] == [OutputFile("kept", 5, HELLO)]


def test_files_that_are_taken_away_within_milliseconds_are_the_tasks_outputs(box: Path) -> None:
    (box / "a").write_text("hello")
    sandboxes = Sandboxes()
    ended = ended_of(box)
    sandboxes.look({ended.record.attempt_id: str(box)})
    (box / "a").unlink()
    os.utime(box, ns=(ended.record.end_ns + 3_000_000,) * 2)
    outputs = sandboxes.end(ended)
    assert outputs is not None
    assert sandboxes.hashed(outputs)[0] == [OutputFile("a", 5, None, TAKEN_AWAY)]


@pytest.mark.parametrize("at_end, looked", [(True, False), (False, True), (False, False)])
def test_a_file_that_was_changed_has_no_hash(box: Path, at_end: bool, looked: bool) -> None:
    (box / "a").write_text("hello")
    files, _ = outputs_of(box, at_end=at_end, looked=looked, then=lambda: (box / "a").write_text("other"))
    assert [(file.path, file.sha256, file.unhashed) for file in files] == [("a", None, CHANGED)]


def test_an_open_file_is_hashed_though_it_is_removed(box: Path) -> None:
    (box / "a").write_text("hello")
    sandboxes = Sandboxes()
    outputs = sandboxes.end(ended_of(box))
    assert outputs is not None
    shutil.rmtree(box)
    assert sandboxes.hashed(outputs) == ([OutputFile("a", 5, HELLO)], None)


def test_what_was_opened_is_closed_if_it_is_not_needed(box: Path) -> None:
    (box / "a").write_text("hello")
    before = len(os.listdir("/proc/self/fd"))
    sandboxes = Sandboxes()
    outputs = sandboxes.end(ended_of(box))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    sandboxes.release(outputs)
    assert len(os.listdir("/proc/self/fd")) == before


def test_too_many_and_too_large_files_are_bounded(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    monkeypatch.setattr(listing, "MAX_FILES", 3)
    monkeypatch.setattr(module, "MAX_HASHED_BYTES", 10)
    for number in range(5):
        (box / f"{number}").write_bytes(b"x" * 6)
    files, note = outputs_of(box)
    assert [file.unhashed for file in files] == [None, TOO_LARGE, TOO_LARGE]
    assert note is not None
    assert "first 3 files" in note


def test_files_without_end_and_files_that_nobody_answers_for(box: Path) -> None:
    os.mkfifo(box / "fifo")
    log = box / "log"
    log.write_bytes(b"line\n" * 100)
    growing = subprocess.Popen(["sh", "-c", f"while :; do echo line >> {log}; done"])
    try:
        wait_until(lambda: log.stat().st_size > 500, "the first line more")
        files, _ = outputs_of(box)
        named = ["/proc/self/pagemap", "/proc/kmsg", "/sys/kernel/uevent_seqnum", "/dev/zero", str(box / "fifo")]
        declared = declared_files([OutputFile(path, -1) for path in (*named, str(log))])
    finally:
        growing.kill()
        growing.wait()
    assert [(file.path, file.sha256, file.unhashed) for file in files] == [("log", None, CHANGED)]
    assert [file.path for file in declared] == [str(log)]
    for file in declared:
        assert file.sha256 == hashlib.sha256(log.read_bytes()[: file.size_bytes]).hexdigest()
    assert outputs_of(Path("/proc"))[0] == []


def test_the_time_for_the_files_of_a_task_is_limited(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (box / "a").write_text("a")
    over = Budget(until=time.monotonic() - 1)
    assert declared_files([OutputFile(str(box / "a"), -1)], over) == [OutputFile(str(box / "a"), 1, None)]
    sandboxes = Sandboxes()
    outputs = sandboxes.end(ended_of(box))
    assert outputs is not None
    assert sandboxes.hashed(outputs, over)[0] == [OutputFile("a", 1, None, TOO_LARGE)]
    monkeypatch.setattr(listing, "LIMIT_S", -1)
    assert list_files(str(box)) == ({}, False)
